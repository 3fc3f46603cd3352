"""What is kept beside an object's bytes, and how it is packed into the metadata of S3 and GCS."""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from providers.exceptions import FileRejectedError
from providers.objects import BatchFacts, JSONObject
from providers.transports.batch_facts import pack_facts, unpack_facts

_MAX_UNPACKED_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Details:
    """What is kept beside an object's bytes, so that the index can be rebuilt from the store.

    batch: only in buckets; disks run no batch jobs.
    """

    filename: str
    content_type: str
    purpose: str | None = None
    expires_after_seconds: int | None = None
    sha256: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    batch: BatchFacts | None = None

    def to_json(self) -> dict[str, object]:
        """Return the details as a JSON object; `from_json` reads it back."""
        return {
            "filename": self.filename,
            "content_type": self.content_type,
            "purpose": self.purpose,
            "expires_after_seconds": self.expires_after_seconds,
            "sha256": self.sha256,
            "metadata": dict(self.metadata),
        }

    @classmethod
    def from_json(cls, body: object) -> Details | None:
        """Read details, None when `body` holds none: whoever can write to the store may have made it."""
        if not isinstance(body, Mapping) or not isinstance(body.get("filename"), str):
            return None
        expires, metadata = body.get("expires_after_seconds"), body.get("metadata")
        return cls(
            filename=body["filename"],
            content_type=_text(body, "content_type") or "application/octet-stream",
            purpose=_text(body, "purpose"),
            expires_after_seconds=expires if type(expires) is int and 0 < expires < 2**31 else None,
            sha256=_text(body, "sha256"),
            metadata={str(k): str(v) for k, v in metadata.items()} if isinstance(metadata, Mapping) else {},
        )


def _text(body: JSONObject, name: str) -> str | None:
    value = body.get(name)
    return value if isinstance(value, str) and value else None


def pack_details(details: Details, *, max_bytes: int) -> dict[str, str]:
    """Return object metadata that is plain ASCII, whatever the names and values hold.

    `details` is base64url of zlib-compressed JSON: percent-encoding would not get a name of 255 emoji into
    S3's 2 KB. Purpose, lifetime and checksum stay readable beside it. Raises FileRejectedError above
    `max_bytes`.
    """
    words = {"filename": details.filename, "content_type": details.content_type}
    body = {**words, "metadata": dict(details.metadata)}
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
    packed = {"details": base64.urlsafe_b64encode(zlib.compress(text, 9)).decode("ascii"), **facts(details)}
    if sum(len(name) + len(value) for name, value in packed.items()) > max_bytes:
        raise FileRejectedError(
            f"File name and metadata take more than the {max_bytes} bytes that the store keeps with a file.",
            code="metadata_too_large",
            param="metadata",
            status_code=400,
        )
    return packed


def facts(details: Details) -> dict[str, str]:
    """Return the details that may be known only after the last byte, in letters, digits, `-` and `_`."""
    known = {
        "purpose": details.purpose,
        "expires-after": details.expires_after_seconds,
        "sha256": details.sha256,
        "batch": details.batch and pack_facts(details.batch),
    }
    return {name: str(value) for name, value in known.items() if value is not None}


def unpack_details(metadata: Mapping[str, str]) -> Details | None:
    """Read what `pack_details` and `facts` wrote; None for an object that the gateway did not write."""
    try:
        packed = base64.urlsafe_b64decode(metadata["details"])
        body = json.loads(zlib.decompressobj().decompress(packed, _MAX_UNPACKED_BYTES))
    except (KeyError, ValueError, RecursionError, binascii.Error, zlib.error):
        return None
    details = Details.from_json(body)
    seconds = metadata.get("expires-after", "")
    return details and replace(
        details,
        purpose=metadata.get("purpose"),
        sha256=metadata.get("sha256"),
        batch=unpack_facts(metadata.get("batch", "")),
        expires_after_seconds=int(seconds[:9]) if seconds.isascii() and seconds.isdigit() else None,
    )
