"""What was found in a batch file's lines, packed into one value of an object's metadata or tags."""

from __future__ import annotations

import base64
import json
import zlib
from dataclasses import asdict, replace
from typing import Any, Final

from providers.objects import BatchFacts

#: Of a tag's value in S3, in characters (docs.aws.amazon.com/AmazonS3/latest/userguide/object-tagging.html,
#: read 2026-11-26).
MAX_CHARACTERS: Final = 256
_MAX_UNPACKED_BYTES: Final = 8_192


def pack_facts(facts: BatchFacts) -> str | None:
    """Return facts in letters, digits, `-` and `_`, without the lists that are too long; None if all is."""
    for each in (facts, replace(facts, warnings=()), replace(facts, warnings=(), ignored=())):
        text = json.dumps(list(asdict(each).values()), separators=(",", ":")).encode()
        packed = base64.urlsafe_b64encode(zlib.compress(text, 9)).decode("ascii").rstrip("=")
        if len(packed) <= MAX_CHARACTERS:
            return packed
    return None


def unpack_facts(packed: str) -> BatchFacts | None:
    """Read what `pack_facts` wrote; None for anything else, which others may have written."""
    try:
        text = base64.urlsafe_b64decode(packed + "=" * (-len(packed) % 4))
        values = json.loads(zlib.decompressobj().decompress(text, _MAX_UNPACKED_BYTES))
        return _facts(*values)
    except (TypeError, ValueError, RecursionError, zlib.error):
        return None


def _facts(
    line_format: Any,
    records: Any,
    size: Any,
    model: Any,
    endpoint: Any,
    ignored: Any,
    warnings: Any,
    is_rendered: Any,
) -> BatchFacts:
    """Return facts of these values. Raises TypeError for values of other kinds."""
    texts = [line_format, *ignored, *warnings, *(text for text in (model, endpoint) if text is not None)]
    if not all(isinstance(text, str) for text in texts):
        raise TypeError("texts are needed")
    if type(records) is not int or type(size) is not int or type(is_rendered) is not bool:
        raise TypeError("numbers are needed")
    return BatchFacts(
        line_format, records, size, model, endpoint, tuple(ignored), tuple(warnings), is_rendered
    )
