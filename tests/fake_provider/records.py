"""What the fake noted about each request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .multipart import Part, TextPart
from .wire import Headers


@dataclass(frozen=True)
class RecordedPart:
    """One multipart part as it arrived; `text` is empty for a file."""

    name: str
    filename: str | None
    headers: Headers
    size_bytes: int
    text: str
    sha256: str | None

    @classmethod
    def of(cls, part: Part) -> RecordedPart:
        if isinstance(part, TextPart):
            return cls(part.name, None, part.headers, len(part.text.encode()), part.text, None)
        return cls(part.name, part.filename, part.headers, part.size_bytes, "", part.blob.sha256)

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "filename": self.filename,
            "headers": self.headers.pairs,
            "size_bytes": self.size_bytes,
            "text": self.text,
            "sha256": self.sha256,
        }

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> RecordedPart:
        return cls(**{**body, "headers": Headers(body["headers"])})


@dataclass
class RecordedRequest:
    """One request. It is listed from its arrival on and filled in while it goes on.

    `dialect` is "storage" for signed URLs and "" for a path that no dialect serves; `path` is complete.
    `body_bytes` counts what was read before the answer, `drained_bytes` what the peer went on sending
    after an early one. `first_body_byte_at` is on the monotonic clock. `status` is None as long as
    nothing was answered, also when the connection was dropped instead.
    """

    dialect: str
    method: str
    path: str
    query: dict[str, list[str]]
    headers: Headers
    parts: list[RecordedPart] = field(default_factory=list)
    unknown_fields: list[str] = field(default_factory=list)
    body_bytes: int = 0
    drained_bytes: int = 0
    body_complete: bool = False
    first_body_byte_at: float | None = None
    status: int | None = None

    @property
    def part_names(self) -> list[str]:
        return [part.name for part in self.parts]

    def to_json(self) -> dict[str, Any]:
        return {
            **vars(self),
            "headers": self.headers.pairs,
            "parts": [part.to_json() for part in self.parts],
        }

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> RecordedRequest:
        parts = [RecordedPart.from_json(part) for part in body["parts"]]
        return cls(**{**body, "headers": Headers(body["headers"]), "parts": parts})
