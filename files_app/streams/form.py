"""Reads the multipart body of an upload while it arrives.

Django's parsers are no use here: they buffer, take a chunked body for an empty form, and do not notice one
that was cut off.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import multipart
from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header

from files_app.exceptions import BodyIncompleteError, InvalidRequestError
from files_app.filenames import DEFAULT_FILENAME, clean_filename
from providers.objects import ExpiresAfterPart, FilePart, PurposePart, UploadPart

MIN_EXPIRY_SECONDS = 3_600
MAX_EXPIRY_SECONDS = 2_592_000
_MAX_PARTS = 8
_MAX_HEADER_BYTES = 8_192
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")
_MEDIA_TYPE = re.compile(r"[\w.+-]{1,63}/[\w.+-]{1,63}", re.ASCII)
_PLAIN_ENCODINGS = frozenset({"", "binary", "8bit", "7bit"})
_FIELDS = "file, purpose, expires_after[anchor] and expires_after[seconds]"


def boundary_of(content_type: str) -> str:
    """Return the boundary of a multipart/form-data content type. Raises InvalidRequestError."""
    kind, options = parse_options_header(content_type[:1024])
    if kind.lower() != "multipart/form-data":
        raise InvalidRequestError(
            "Send the file as multipart/form-data with the fields 'file' and 'purpose'.", param="Content-Type"
        )
    boundary: str = options.get("boundary", "")
    if not _BOUNDARY.fullmatch(boundary):
        raise InvalidRequestError(
            "The Content-Type header has no valid multipart boundary.", param="Content-Type"
        )
    return boundary


@dataclass(frozen=True, slots=True)
class BodySource:
    """Where a body comes from. `length` is the Content-Length, None for a chunked body."""

    read: Callable[[int], bytes]
    boundary: str
    length: int | None
    chunk_bytes: int = 262_144
    max_overhead_bytes: int = 65_536

    def parts(self) -> Iterator[UploadPart]:
        """Yield the parts of the form."""
        return iter(FormReader(self))


def media_type(header: str) -> str:
    """Return the type in a Content-Type header, without parameters; bytes where there is none."""
    kind = header.partition(";")[0].strip().lower()
    return kind if _MEDIA_TYPE.fullmatch(kind) else "application/octet-stream"


class _Parser(PushMultipartParser):  # type: ignore[misc]  # multipart has no types
    """Tells when the closing boundary has passed, which multipart 2.0 says only when it is closed.

    Refuses stray line ends in headers: multipart takes or refuses them depending on how the body is cut.
    """

    @property
    def is_complete(self) -> bool:
        return self._state is multipart._COMPLETE

    def _on_segment_headerline(self, line: bytes) -> None:
        if b"\n" in line or b"\r" in line or b"\0" in line:
            raise MultipartError("Invalid byte in segment header")
        super()._on_segment_headerline(line)


class FormReader:
    """Yields the parts of an upload form in the order of arrival.

    A form is complete only when its closing boundary and, where announced, its Content-Length were reached:
    a client that vanished looks like a plain end of file. Raises InvalidRequestError and
    BodyIncompleteError.
    """

    def __init__(self, source: BodySource) -> None:
        self._source = source
        self._received = 0
        self._file_bytes = 0
        self._seen: set[str] = set()
        self._expiry: dict[str, str] = {}
        self._parser = _Parser(
            source.boundary,
            max_header_size=_MAX_HEADER_BYTES,
            max_segment_count=_MAX_PARTS,
            strict=True,
        )
        self._events = self._read_events()

    def __iter__(self) -> Iterator[UploadPart]:
        for event in self._events:
            if not isinstance(event, MultipartSegment):
                raise AssertionError("bytes outside of a part")
            name = self._admit(event)
            if name == "file":
                part = self._file_part(event)
                yield part
                for _ in part.chunks:  # whoever takes no bytes must not shift the parts behind
                    pass
            elif name == "purpose":
                yield PurposePart(self._text(name))
            else:
                self._expiry[name] = self._text(name)
                if len(self._expiry) == 2:
                    yield _expires_after(self._expiry)
        if len(self._expiry) == 1:
            raise InvalidRequestError(
                "expires_after needs both expires_after[anchor] and expires_after[seconds].",
                param="expires_after",
            )

    def _read_events(self) -> Iterator[MultipartSegment | bytes | bytearray | None]:
        try:
            chunk = self._read_start()
            while True:
                yield from self._parser.parse(chunk)
                if self._received - self._file_bytes > self._source.max_overhead_bytes + len(chunk):
                    raise self._too_much_around_the_file()
                if self._parser.is_complete:
                    break
                chunk = self._read_more()
        except MultipartError as exc:
            # Behind the parser's own words its errors hold exceptions of Python, with bytes of the body.
            raise InvalidRequestError(f"The multipart body is malformed: {exc.args[0]}.") from exc
        self._read_epilogue()

    def _read_start(self) -> bytes:
        """Return the first bytes, with the whole first boundary in them; nothing may stand before it."""
        boundary = f"--{self._source.boundary}".encode()
        start = self._read_more()
        while len(start) < len(boundary) + 2:
            start += self._read_more()
        if not start.removeprefix(b"\r\n").startswith(boundary):
            raise MultipartError("It does not begin with its boundary")
        return start

    def _read_more(self) -> bytes:
        chunk = self._read()
        if not chunk:
            raise self._incomplete()
        return chunk

    def _read(self) -> bytes:
        wanted = self._source.chunk_bytes
        if self._source.length is not None:
            wanted = min(wanted, self._source.length - self._received)
            if wanted <= 0:
                return b""
        chunk = self._source.read(wanted)
        self._received += len(chunk)
        return chunk

    def _read_epilogue(self) -> None:
        rest = 0
        while chunk := self._read():
            rest += len(chunk)
            if rest > self._source.max_overhead_bytes:
                raise self._too_much_around_the_file()
        if self._source.length is not None and self._received < self._source.length:
            raise self._incomplete()

    def _incomplete(self) -> BodyIncompleteError:
        return BodyIncompleteError("The request body ended before the form was complete. Send it again.")

    def _too_much_around_the_file(self) -> InvalidRequestError:
        return InvalidRequestError(
            f"More than {self._source.max_overhead_bytes:,} bytes stand outside of the file."
        )

    def _admit(self, segment: MultipartSegment) -> str:
        name = str(segment.name)
        if name not in {"file", "purpose", "expires_after[anchor]", "expires_after[seconds]"}:
            raise InvalidRequestError(
                f"Unknown form field '{name[:64]}'. The fields are {_FIELDS}.", param=name[:64]
            )
        if name in self._seen:
            raise InvalidRequestError(f"The field '{name}' was sent twice.", param=name)
        self._seen.add(name)
        if (segment.header("Content-Transfer-Encoding") or "").strip().lower() not in _PLAIN_ENCODINGS:
            raise InvalidRequestError("Send part bodies as they are, without transfer encoding.", param=name)
        return name

    def _file_part(self, segment: MultipartSegment) -> FilePart:
        # Browsers and SDKs write a quote in a name as %22; nothing else of that encoding is unambiguous.
        given = (segment.filename or DEFAULT_FILENAME).replace("%22", '"')
        content_type = media_type(segment.header("Content-Type") or "")
        return FilePart(clean_filename(given), content_type, self._file_chunks())

    def _file_chunks(self) -> Iterator[bytes]:
        for chunk in self._body():
            self._file_bytes += len(chunk)
            yield chunk

    def _body(self) -> Iterator[bytes]:
        """Yield the bytes of the part in hand, up to the event that ends it."""
        for event in self._events:
            if not isinstance(event, bytes | bytearray):
                return
            yield bytes(event)

    def _text(self, name: str) -> str:
        pieces: list[bytes] = []
        for chunk in self._body():
            pieces.append(chunk)
            if sum(map(len, pieces)) > _MAX_HEADER_BYTES:
                raise InvalidRequestError(f"The field '{name}' is too long.", param=name)
        try:
            return b"".join(pieces).decode()
        except UnicodeDecodeError:
            raise InvalidRequestError(f"The field '{name}' is not UTF-8 text.", param=name) from None


def _expires_after(fields: dict[str, str]) -> ExpiresAfterPart:
    if fields["expires_after[anchor]"] != "created_at":
        raise InvalidRequestError(
            "The only anchor of expires_after is 'created_at'.", param="expires_after[anchor]"
        )
    text = fields["expires_after[seconds]"]
    seconds = int(text) if re.fullmatch(r"[0-9]{1,9}", text) else -1
    if not MIN_EXPIRY_SECONDS <= seconds <= MAX_EXPIRY_SECONDS:
        raise InvalidRequestError(
            f"expires_after[seconds] must be a whole number from {MIN_EXPIRY_SECONDS} (1 hour) "
            f"to {MAX_EXPIRY_SECONDS} (30 days).",
            param="expires_after[seconds]",
        )
    return ExpiresAfterPart(seconds)
