"""The form of an upload as Anthropic's clients send it: `file` and, if wanted, `expires_in_seconds`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from mimetypes import MimeTypes
from typing import Final

from files_app.exceptions import InvalidRequestError
from files_app.filenames import clean_filename
from files_app.streams.envelope import Part
from files_app.streams.form import FormReader
from files_app.streams.headers import DEFAULT_CONTENT_TYPE, Disposition, parse_media_type
from providers.objects import ExpiresAfterPart, FilePart, PurposePart, UploadPart

#: Anthropic's files have no purpose.
PURPOSE: Final = "user_data"

_UNNAMED: Final = "unnamed"
_KNOWN_TYPES: Final = MimeTypes()  # Python's own, the same on every host


class AnthropicFormReader(FormReader):
    """Yields the parts of Anthropic's form, and in front of them the purpose that it does not have."""

    names = frozenset({"file", "expires_in_seconds"})
    described = "file and expires_in_seconds"

    def __iter__(self) -> Iterator[UploadPart]:
        yield PurposePart(PURPOSE)
        yield from super().__iter__()

    def file_part(self, part: Part, disposition: Disposition) -> FilePart:
        """Return the file; one without a name is called after its type."""
        media_type = parse_media_type(part.headers.get("content-type", ""))
        name = clean_filename(disposition.filename) if disposition.filename else _unnamed(media_type.type)
        return FilePart(name, str(media_type), part.chunks)

    def field(self, name: str, text: str) -> UploadPart:
        if not re.fullmatch(r"[0-9]{1,9}", text):
            raise InvalidRequestError(f"{name} must be a whole number.", param=name)
        return ExpiresAfterPart(int(text))


def _unnamed(media_type: str) -> str:
    extension = None if media_type == DEFAULT_CONTENT_TYPE else _KNOWN_TYPES.guess_extension(media_type)
    return _UNNAMED + (extension or "")
