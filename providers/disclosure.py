"""The one place that decides what of a provider's answer leaves its driver.

Everything that is shown, logged or stored of an answer has passed here: without secrets, no longer than it
may be, and with a request id that is one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cached_property

from providers.exceptions import ProviderError
from providers.masking import Striker, mask
from providers.objects import RemoteFile
from providers.parsing import is_request_id

MAX_WORDS_CHARACTERS = 500
_MAX_NAME_CHARACTERS = 128


class Disclosure:
    """Takes the secrets of one account out of what its provider answers.

    secrets: must stand nowhere. sent_values: what else is sent to prove who we are. No error may show them
    either, but a file's name may well hold one, such as an environment's.
    """

    def __init__(self, secrets: Iterable[str], sent_values: Iterable[str]) -> None:
        secrets = list(secrets)
        self._secrets = Striker(secrets)
        self._all_sent = [*secrets, *sent_values]

    @cached_property
    def _sent(self) -> Striker:
        """Made for errors and words about a status: most answers have none."""
        return Striker(self._all_sent)

    def clean_error(self, error: ProviderError) -> None:
        """Clean an error and what its traceback shows as causes."""
        for each in _with_causes(error):
            if isinstance(each, ProviderError):
                self._clean_fields(each)
            else:
                each.args = tuple(self._words(arg) if isinstance(arg, str) else arg for arg in each.args)

    def cleaned_file(self, file: RemoteFile) -> RemoteFile:
        """Return a file with clean texts; its id stays, which is what the provider knows it by."""
        details = file.status_details
        return replace(
            file,
            filename=self._data(file.filename),
            purpose=self._data(file.purpose),
            content_type=self._data(file.content_type),
            uri=self._data(file.uri),
            metadata={name: self._secrets.strike(value) for name, value in file.metadata.items()},
            status_details=None if details is None else self._words(details)[:MAX_WORDS_CHARACTERS],
        )

    def _clean_fields(self, error: ProviderError) -> None:
        error.message = self._words(error.message)[:MAX_WORDS_CHARACTERS]
        error.args = (error.message,)
        error.code = self._name(error.code)
        error.param = self._name(error.param)
        request_id = error.request_id or ""
        is_clean = is_request_id(request_id) and self._words(request_id) == request_id
        error.request_id = request_id if is_clean else None

    def _words(self, text: str) -> str:
        return mask(self._sent.strike(text))

    def _name(self, text: str | None) -> str | None:
        if text is None:
            return None
        return self._words("".join(c if c.isprintable() else " " for c in text))[:_MAX_NAME_CHARACTERS]

    def _data(self, text: str | None) -> str | None:
        return None if text is None else self._secrets.strike(text)


def _with_causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and what its traceback shows as causes; one that was raised twice can cause itself."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
