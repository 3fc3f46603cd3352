"""xAI's Files API."""

from __future__ import annotations

from providers.errors import ErrorDetails
from providers.exceptions import CredentialsError, ProviderError
from providers.objects import Capabilities, Expiry, Operation
from providers.openai_compatible import CHECKED, JSONL, Dialect, OpenAICompatibleDriver, base_url_setting


class XAIDriver(OpenAICompatibleDriver):
    """xAI. The form is read as a stream, so text fields must precede the file."""

    name = "xai"
    label = "xAI"
    options = (base_url_setting("https://api.x.ai/v1"),)
    capabilities = Capabilities(
        max_bytes=48_000_000,  # the guide says 48 MB, the reference 50 MB
        extensions={"batch": JSONL},
        expiry=Expiry(native=True),
        paging="token",
        text_fields_first=True,
        source="https://docs.x.ai/developers/rest-api-reference/files",
        checked=CHECKED,
    )
    dialect = Dialect(page_size=100, list_query={"order": "desc"})

    def upload_filename(self, filename: str) -> str:
        """Leave out what xAI refuses in a name: control characters, line ends, `"`, `;` and `\\`."""
        kept = "".join(
            c for c in filename if c not in '";\\\u2028\u2029\x85' and ord(c) >= 32 and c != "\x7f"
        )
        return kept[:255] or "file"

    def error_kind(
        self, operation: Operation, status: int, details: ErrorDetails
    ) -> type[ProviderError] | None:
        """Recognise a bad key, which xAI answers with 400 (read 2026-11-23)."""
        is_bad_key = status == 400 and "api key" in (details.message or "").lower()
        return CredentialsError if is_bad_key else super().error_kind(operation, status, details)
