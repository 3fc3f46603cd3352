"""The summary that an invocation job of Bedrock writes beside its results, `manifest.json.out`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from providers.batches.results.values import count, mapping

MANIFEST_NAME: Final = "manifest.json.out"
MAX_MANIFEST_BYTES: Final = 65_536

#: Bedrock's names -> ours. docs.aws.amazon.com/bedrock/latest/userguide/batch-inference-results.html
_MEMBERS: Final = {
    "totalRecordCount": "total",
    "processedRecordCount": "processed",
    "successRecordCount": "succeeded",
    "errorRecordCount": "failed",
    "inputTokenCount": "input_tokens",
    "outputTokenCount": "output_tokens",
}


def read_manifest(content: bytes) -> Mapping[str, int]:
    """Return the counts that a summary gives, by our names; empty for what is no summary."""
    try:
        summary = mapping(json.loads(content))
    except (ValueError, RecursionError):
        return {}
    return {ours: count(summary[theirs]) for theirs, ours in _MEMBERS.items() if theirs in summary}
