"""Reads the header fields of a form and of its parts, in the spellings that clients really send."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from urllib.parse import unquote

from files_app.exceptions import InvalidRequestError

#: Charsets that a text may come back with (docs/api.md); others would let a browser read it otherwise.
KEPT_CHARSETS = frozenset({"utf-8", "us-ascii", "iso-8859-1", "utf-16"})
DEFAULT_CONTENT_TYPE = "application/octet-stream"

_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PARAMETER = re.compile(rf';\s*({_WORD})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^";\s]*))(?=\s*(?:;|$))')
_MEDIA_TYPE = re.compile(r"[\w.+-]{1,31}/[\w.+-]{1,63}", re.ASCII)
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")

#: The parameters of a Content-Disposition (RFC 6266, RFC 2183): what else follows a quote is in the name.
_BEHIND_NAME = (
    r"(?:\s*+;\s*+(?:name|filename\*?|size|(?:creation|modification|read)-date)\s*+=\s*+"
    r'(?:"[^"]*+"|[^";]*+))*+\s*+;?\s*+$'
)
_DISPOSITION = re.compile(
    r"\s*;\s*(?:"
    rf'(?P<filename>filename)\s*=\s*"(?:(?P<to_first>.*?)"(?={_BEHIND_NAME})|(?P<to_last>.*)")'
    rf'|(?P<key>{_WORD})\s*=\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<plain>[^";]*)))',
    re.IGNORECASE,
)
_EXTENDED_VALUE = re.compile(
    r"(utf-8|iso-8859-1)'[^']*'((?:%[0-9A-F]{2}|[!#$&+.^_`|~0-9A-Z-])+)", re.IGNORECASE
)
_ENCODED_WORDS = re.compile(
    r"\s*(?:=\?[\w.+-]+(?:\*[\w-]+)?\?[bq]\?[^?\s]*\?=\s*)+", re.ASCII | re.IGNORECASE
)


class MalformedFormError(InvalidRequestError):
    """The form is not what RFC 2046 and 7578 describe."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"The multipart body is malformed: {reason}.")


@dataclass(frozen=True, slots=True)
class MediaType:
    """A content type in lower case; of its parameters only a charset that is kept."""

    type: str
    charset: str | None = None

    def __str__(self) -> str:
        return f"{self.type}; charset={self.charset}" if self.charset else self.type


@dataclass(frozen=True, slots=True)
class Disposition:
    """What a Content-Disposition says of a part. `filename` None: it names no file."""

    name: str
    filename: str | None = None


def parse_media_type(header: str) -> MediaType:
    """Return the type in a Content-Type header; bytes where there is none."""
    kind = header.partition(";")[0].strip().lower()
    if not _MEDIA_TYPE.fullmatch(kind):
        return MediaType(DEFAULT_CONTENT_TYPE)
    charset = next((value.lower() for name, value in _parameters(header) if name == "charset"), None)
    return MediaType(kind, charset if charset in KEPT_CHARSETS else None)


def boundary_of(content_type: str) -> str:
    """Return the boundary of a multipart/form-data content type. Raises InvalidRequestError."""
    header = content_type[:1024]
    if header.partition(";")[0].strip().lower() != "multipart/form-data":
        raise InvalidRequestError(
            "Send the file as multipart/form-data with the fields 'file' and 'purpose'.", param="Content-Type"
        )
    found = [value for name, value in _parameters(header) if name == "boundary"]
    if len(found) != 1 or not _BOUNDARY.fullmatch(found[0]):
        raise InvalidRequestError(
            "The Content-Type header has no valid multipart boundary. Let the HTTP client write this header.",
            param="Content-Type",
        )
    return found[0]


def parse_disposition(header: str) -> Disposition:
    """Return what the Content-Disposition of a form's part says. Raises MalformedFormError."""
    kind, semicolon, rest = header.partition(";")
    if kind.strip().lower() != "form-data":
        raise MalformedFormError("the Content-Disposition of a part is not form-data")
    given: dict[str, str] = {}
    for name, value in _disposition_parameters(semicolon + rest):
        if name in given and name in {"name", "filename", "filename*"}:
            raise MalformedFormError(f"a part has two parameters '{name}'")
        given[name] = value
    if "name" not in given:
        raise MalformedFormError("a part has no name")
    return Disposition(_unescaped(given["name"]), _filename(given))


def _parameters(header: str) -> list[tuple[str, str]]:
    return [
        (match[1].lower(), match[3] if match[2] is None else re.sub(r"\\(.)", r"\1", match[2]))
        for match in _PARAMETER.finditer(header)
    ]


def _disposition_parameters(text: str) -> list[tuple[str, str]]:
    """Return the parameters as they stand there, without the quotes around them.

    Some clients leave the quotes within a name as they are: such a name goes up to the last one.
    """
    found, position = [], 0
    while match := _DISPOSITION.match(text, position):
        position = match.end()
        values = (match[group] for group in ("to_first", "to_last", "quoted", "plain"))
        value = next(value for value in values if value is not None)
        found.append(((match["filename"] or match["key"]).lower(), value.strip()))
    if text[position:].strip(" \t;"):
        raise MalformedFormError("the Content-Disposition of a part cannot be read")
    return found


def _filename(given: dict[str, str]) -> str | None:
    """Return the name that the client means: `filename*` where it is well-formed, else `filename`."""
    if (extended := _extended(given.get("filename*", ""))) is not None:
        return extended
    if "filename" in given:
        return _words_decoded(given["filename"])
    return "" if "filename*" in given else None


def _extended(value: str) -> str | None:
    """Decode RFC 5987: `utf-8''%E6%B5%8B.txt`. None when it is not well-formed."""
    match = _EXTENDED_VALUE.fullmatch(value)
    with suppress(UnicodeDecodeError):
        return unquote(match[2], match[1], "strict") if match else None
    return None


def _words_decoded(value: str) -> str:
    """Decode RFC 2047: `=?utf-8?B?5rWL?=`, which .NET and Java write. Anything else is the name itself."""
    if _ENCODED_WORDS.fullmatch(value):
        with suppress(HeaderParseError, LookupError, ValueError):
            return str(make_header(decode_header(value)))
    return _unescaped(value)


def _unescaped(value: str) -> str:
    """Take back what clients do to quotes: backslashes (RFC 822, Go, Java), or `%22` (browsers, SDKs)."""
    if '\\"' in value:
        return value.replace("\\\\", "\\").replace('\\"', '"')
    return value.replace("%22", '"').replace("%0D", "\r").replace("%0A", "\n")
