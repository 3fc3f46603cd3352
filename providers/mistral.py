"""Mistral's Files API."""

from __future__ import annotations

from providers.objects import BODY_BATCH_LINES, Capabilities, Expiry, JSONObject, MiB
from providers.openai_compatible import (
    CHECKED,
    DAY_SECONDS,
    JSONL,
    Dialect,
    OpenAICompatibleDriver,
    base_url_setting,
)


class MistralDriver(OpenAICompatibleDriver):
    """Mistral. Its `expiry` field is not sent, since its unit is documented nowhere."""

    name = "mistral"
    label = "Mistral"
    options = (base_url_setting("https://api.mistral.ai/v1"),)
    capabilities = Capabilities(
        purposes={
            "batch": "batch",
            "fine-tune": "fine-tune",
            # That documents and images go to `ocr` is our choice, not a documented equivalence.
            **dict.fromkeys(("user_data", "assistants", "vision"), "ocr"),
        },
        output_purposes={"ocr": "user_data", "audio": "user_data"},
        max_bytes=512 * MiB,
        extensions={"batch": JSONL, "fine-tune": JSONL},
        expiry=Expiry(default_seconds=30 * DAY_SECONDS),
        paging="page",
        batch_lines=(BODY_BATCH_LINES,),
        source="https://docs.mistral.ai/api/endpoint/files",
        checked=CHECKED,
    )
    dialect = Dialect(page_size=100)
    # Ids are declared as UUIDs; anything else is most likely refused with 422 instead of 404.
    missing_statuses = frozenset({422})

    def output_purpose(self, body: JSONObject) -> str | None:
        """Tell the results of batches from their inputs, which have the same purpose."""
        if body.get("sample_type") in {"batch_result", "batch_error"}:
            return "batch_output"
        return super().output_purpose(body)
