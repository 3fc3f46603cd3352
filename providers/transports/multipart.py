"""Writes multipart/form-data bodies part by part, holding nothing but the chunk in hand."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from providers.objects import FilePart


@dataclass(frozen=True, slots=True)
class FormField:
    """A text field of a form."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class FormFile:
    """The file field of a form. default_type: sent where nobody knows the file's type; None for no type."""

    name: str
    part: FilePart
    default_type: str | None = None


FormPart: TypeAlias = FormField | FormFile


class MultipartForm:
    """A form whose parts are pulled while it is sent.

    Small parts travel together with the bytes that follow them. The closing boundary goes out only after
    `parts` is exhausted, so an iterator that raises at its end leaves an incomplete form behind.
    """

    def __init__(self, parts: Iterable[FormPart]) -> None:
        self._parts = parts
        self.boundary = f"gateway-{secrets.token_hex(16)}"

    @property
    def content_type(self) -> str:
        """The value of the request's Content-Type header."""
        return f"multipart/form-data; boundary={self.boundary}"

    def __iter__(self) -> Iterator[bytes]:
        pending = b""
        for part in self._parts:
            pending += self._head(part)
            if isinstance(part, FormField):
                pending += part.value.encode()
            else:
                for chunk in part.part.chunks:
                    if pending:
                        yield pending
                        pending = b""
                    yield chunk
            pending += b"\r\n"
        yield pending + self._end()

    def length(self, fields: Iterable[FormField], file: FormFile) -> int:
        """Return the exact length of the form that holds `fields` and `file`, whose length is known."""
        if file.part.length is None:
            raise ValueError("the file's length is not known")
        texts = sum(len(self._head(f)) + len(f.value.encode()) + 2 for f in fields)
        return texts + len(self._head(file)) + file.part.length + 2 + len(self._end())

    def _head(self, part: FormPart) -> bytes:
        lines = [f"--{self.boundary}"]
        if isinstance(part, FormField):
            lines.append(f'Content-Disposition: form-data; name="{_quoted(part.name)}"')
        else:
            name, filename = _quoted(part.name), _quoted(part.part.filename)
            lines.append(f'Content-Disposition: form-data; name="{name}"; filename="{filename}"')
            if content_type := part.part.provider_type or part.default_type:
                lines.append(f"Content-Type: {content_type}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    def _end(self) -> bytes:
        return f"--{self.boundary}--\r\n".encode()


def _quoted(value: str) -> str:
    """Escape a name as browsers and OpenAI's SDKs do: raw UTF-8, quotes and line ends percent-encoded."""
    return value.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
