"""The checks that every upload passes on its way to the provider, on the same pass as the digest."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

from files_app.exceptions import FileTooLargeError, InvalidRequestError
from files_app.filenames import extension_of
from files_app.models.retention import Life
from files_app.streams.batch_lines import BatchLines
from files_app.streams.jsonl import BatchLineChecker
from files_app.streams.tokens import TokenCounter
from files_app.words import readable_bytes, readable_seconds
from providers.batches.json_lines import LineLimits
from providers.batches.rendering import BatchRenderer
from providers.objects import (
    INPUT_PURPOSES,
    BatchFacts,
    Capabilities,
    Digest,
    ExpiresAfterPart,
    Expiry,
    FilePart,
    PurposePart,
    UploadPart,
)


def required_extensions(purpose: str, capabilities: Capabilities) -> tuple[str, ...]:
    """Return the endings of which a file's name needs one, with their dots; none where any will do."""
    return (".jsonl",) if purpose == "batch" else capabilities.extensions.get(purpose, ())


@dataclass(frozen=True, slots=True)
class UploadRules:
    """What an upload is measured against: the service's limits, the organization's, the driver's.

    declared_bytes: an upper bound of the file's size where the client announced a length.
    new_renderer: makes what renders a batch file for the provider's jobs; None where jobs read the files.
    life: how long files of a purpose may live.
    """

    provider_label: str
    capabilities: Capabilities
    max_file_bytes: int
    batch_max_file_bytes: int
    assistants_max_tokens: int
    line_limits: LineLimits = field(default_factory=LineLimits)
    declared_bytes: int | None = None
    new_renderer: Callable[[], BatchRenderer | None] = lambda: None
    life: Callable[[str], Life] = lambda purpose: Life()

    def max_bytes(self, purpose: str | None) -> int:
        """Return the smallest limit that holds for `purpose`, or that may hold while it is not known."""
        limits = [self.max_file_bytes]
        if (driver_limit := self._driver_limit(purpose)) is not None:
            limits.append(driver_limit)
        if purpose == "batch":
            limits.append(self.batch_max_file_bytes)
        return min(limits)

    def _driver_limit(self, purpose: str | None) -> int | None:
        can = self.capabilities
        if purpose is not None:
            return can.max_bytes_for(purpose)
        limits = [limit for each in can.purposes if (limit := can.max_bytes_for(each)) is not None]
        return max(limits) if limits and len(limits) == len(can.purposes) else None

    def check_purpose(self, purpose: str) -> None:
        """Refuse a purpose that OpenAI's reference or the provider does not know."""
        if purpose not in INPUT_PURPOSES and purpose not in self.capabilities.purposes:
            raise InvalidRequestError(
                f"'{purpose[:64]}' is not one of {list(INPUT_PURPOSES)} - 'purpose'.", param="purpose"
            )
        if purpose not in self.capabilities.purposes:
            raise InvalidRequestError(
                f"{self.provider_label} takes no files of purpose '{purpose}'; it takes: "
                f"{', '.join(sorted(self.capabilities.purposes))}.",
                param="purpose",
            )

    def check_name(self, filename: str, purpose: str) -> None:
        """Refuse an extension that the purpose does not allow."""
        allowed = required_extensions(purpose, self.capabilities)
        if allowed and extension_of(filename) not in allowed:
            raise InvalidRequestError(
                f"A file of purpose '{purpose}' needs a name that ends in {' or '.join(allowed)}.",
                param="file",
            )

    def check_expiry(self, seconds: int) -> None:
        """Refuse a life that the provider cannot give a file; where it gives none, OpenAI's bounds hold."""
        stated = self.capabilities.expiry
        bounds = stated if stated.native else Expiry()
        if not bounds.min_seconds <= seconds <= bounds.max_seconds:
            least, most = readable_seconds(bounds.min_seconds), readable_seconds(bounds.max_seconds)
            raise InvalidRequestError(
                f"{self.provider_label} takes files that expire after {least} to {most}; "
                f"{seconds} s were asked for.",
                param="expires_after[seconds]",
            )

    def check_life(self, seconds: int | None, purpose: str | None) -> None:
        """Refuse a life beyond the longest that the operator's rules give files of this purpose."""
        longest = None if purpose is None else self.life(purpose).longest_seconds
        if seconds is not None and longest is not None and seconds > longest:
            raise InvalidRequestError(
                f"Files of purpose '{purpose}' live {readable_seconds(longest)} at the longest here; "
                f"{seconds} s were asked for.",
                param="expires_after[seconds]",
                code="beyond_longest_life",
            )

    def check_size(self, size: int, purpose: str | None) -> None:
        """Refuse a file that is over the limit."""
        limit = self.max_bytes(purpose)
        if size > limit:
            what = f"a file of purpose '{purpose}' at {self.provider_label}" if purpose else "one file"
            raise FileTooLargeError(
                f"The file is too large: the limit for {what} is {readable_bytes(limit)}.", param="file"
            )


class UploadChecks:
    """Passes an upload's parts on while it measures them.

    The iterator ends only when everything was in order; then `digest` is final. What depends on the purpose
    is checked provisionally when the file comes first, and decided when the purpose has arrived.
    """

    def __init__(self, rules: UploadRules, *, on_bytes: Callable[[int], None] = lambda size: None) -> None:
        self.purpose: str | None = None
        self.filename: str | None = None
        self.content_type = "application/octet-stream"
        self.expires_after_seconds: int | None = None
        self.size = 0
        self._rules = rules
        self._on_bytes = on_bytes
        self._hash = hashlib.sha256()
        self._lines: BatchLines | None = None
        self._tokens: TokenCounter | None = None

    @property
    def digest(self) -> Digest:
        """Size and checksum of what has passed so far."""
        return Digest(self.size, self._hash.hexdigest())

    @property
    def life(self) -> Life:
        """How long the file may live by the operator's rules, as far as its purpose is known."""
        return self._rules.life(self.purpose or "")

    def take(self) -> bytes:
        """Return what was rendered for the provider's jobs since the last call."""
        return b"" if self._lines is None else self._lines.take()

    def facts(self) -> BatchFacts | None:
        """Return what the lines are for those jobs; None where jobs read files, or the file is no batch."""
        return self._lines.facts(self.size) if self._lines is not None and self.purpose == "batch" else None

    def sample(self) -> tuple[bytes, ...]:
        """Return the first rendered lines."""
        return () if self._lines is None else self._lines.sample()

    def run(self, parts: Iterable[UploadPart]) -> Iterator[UploadPart]:
        """Yield the parts; raises GatewayError as soon as the upload cannot be accepted."""
        for part in parts:
            match part:
                case PurposePart(value):
                    self._take_purpose(value)
                    yield part
                case ExpiresAfterPart(seconds):
                    self._rules.check_expiry(seconds)
                    self._rules.check_life(seconds, self.purpose)
                    self.expires_after_seconds = seconds
                    yield part
                case FilePart():
                    yield self._take_file(part)
        self._decide()

    def _take_purpose(self, purpose: str) -> None:
        self._rules.check_purpose(purpose)
        self._rules.check_life(self.expires_after_seconds, purpose)
        self.purpose = purpose
        if self.filename is not None:
            self._rules.check_name(self.filename, purpose)
            self._rules.check_size(self.size, purpose)

    def _take_file(self, part: FilePart) -> FilePart:
        self.filename, self.content_type = part.filename, part.content_type
        if self.purpose is not None:
            self._rules.check_name(part.filename, self.purpose)
        if self.purpose == "batch" or (self.purpose is None and extension_of(part.filename) == ".jsonl"):
            self._lines = self._begin_lines()
        if self.purpose in {"assistants", None} and self._may_be_over_the_token_limit():
            self._tokens = TokenCounter(self._rules.assistants_max_tokens)
        return replace(part, chunks=self._measured(part.chunks))

    def _begin_lines(self) -> BatchLines:
        rules = self._rules
        checker = BatchLineChecker(rules.capabilities.batch_lines, rules.line_limits)
        return BatchLines(checker, rules.new_renderer())

    def _may_be_over_the_token_limit(self) -> bool:
        """A token is at least one byte, so a short file needs no counting."""
        declared = self._rules.declared_bytes
        return declared is None or declared > self._rules.assistants_max_tokens

    def _measured(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        limit = self._rules.max_bytes(self.purpose)
        watchers = [watcher for watcher in (self._lines, self._tokens) if watcher is not None]
        update = self._hash.update
        for chunk in chunks:
            self.size += len(chunk)
            if self.size > limit:
                self._rules.check_size(self.size, self.purpose)
            update(chunk)
            for watcher in watchers:
                watcher.feed(chunk)
            if watchers and self.purpose is not None:
                self._refuse_early()
            self._on_bytes(self.size)
            yield chunk
        for watcher in watchers:
            watcher.finish()

    def _refuse_early(self) -> None:
        if self._lines is not None and self._lines.is_full:
            self._refuse_lines()
        self._refuse_tokens()

    def _decide(self) -> None:
        if self.filename is None:
            raise InvalidRequestError("The form has no 'file'.", param="file")
        if self.purpose is None:
            raise InvalidRequestError(
                f"The form has no 'purpose'. Send one of {list(INPUT_PURPOSES)}.", param="purpose"
            )
        if self.size == 0:
            raise InvalidRequestError("The file is empty.", param="file")
        if self.purpose == "batch":
            self._refuse_lines()
        if self.purpose == "assistants":
            self._refuse_tokens()

    def _refuse_lines(self) -> None:
        if self._lines is not None and self._lines.problems:
            raise InvalidRequestError(
                "The batch file is not valid: " + "; ".join(self._lines.problems), param="file"
            )

    def _refuse_tokens(self) -> None:
        if self._tokens is not None and self._tokens.is_over:
            raise InvalidRequestError(
                "The file has too many tokens: the limit for purpose 'assistants' is "
                f"{self._rules.assistants_max_tokens:,}.",
                param="file",
            )
