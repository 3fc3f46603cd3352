"""Files for Google Vertex AI, which are objects in Cloud Storage: its batch jobs know nothing else."""

from __future__ import annotations

import re
from collections.abc import Mapping

from providers.base import Setting
from providers.batch_options import BATCH_OPTIONS
from providers.cloud_store import ANYWHERE, CloudStoreDriver
from providers.exceptions import ProviderConfigurationError
from providers.objects import OPENAI_BATCH_LINES, BatchLineFormat, Capabilities, GiB
from providers.parsing import check_endpoint
from providers.transports.gcs import GCSStore, open_gcs
from providers.transports.gcs_client import GCSConfig, read_service_account


class VertexDriver(CloudStoreDriver):
    """Keeps files in Cloud Storage, or in any store that speaks its JSON API."""

    name = "vertex"
    label = "Google Vertex AI (Cloud Storage)"
    scheme = "gs"
    renders_for = "vertex"
    bucket_header = "x-tfy-vertex-storage-bucket-name"
    # Gemini's results, whole or in shards; text embeddings; custom models' predictions, and their errors.
    output_names = re.compile(
        r"(predictions|errors)_\d+\.jsonl|predictions\.jsonl|\d{12}\.jsonl"
        r"|prediction\.(results|errors_stats)-.+"
    )
    # Predictions of custom models are nobody's chat: they stay what they are.
    result_names = re.compile(r"predictions(_\d+)?\.jsonl|\d{12}\.jsonl")
    # Global, mTLS, regional (rep) and Private Service Connect (p).
    # docs.cloud.google.com/storage/docs/request-endpoints, read 2026-11-23.
    vendor_host = re.compile(
        r"(storage|storage\.mtls|storage\.[a-z0-9-]+\.rep|storage-[a-z0-9-]+\.p|www)"
        r"\.googleapis\.com",
        re.IGNORECASE,
    )
    capabilities = Capabilities(
        storage="gcs",
        mode="object store",
        paging="token",
        ranges=True,
        renders_batches=True,
        extensions={"batch": (".jsonl",)},
        max_bytes_by_purpose={"batch": GiB},
        # Claude's lines, embeddings, and chat of Gemini, which has no field for the caller's id.
        batch_lines=(
            OPENAI_BATCH_LINES,
            BatchLineFormat("vertex-claude", {"custom_id": str, "request": dict}, unique="custom_id"),
            BatchLineFormat("vertex-embeddings", {"key": str, "request": dict}, unique="key"),
            BatchLineFormat("vertex", {"request": dict}),
        ),
        source="https://docs.cloud.google.com/vertex-ai/generative-ai/docs/multimodal/batch-prediction-from-cloud-storage",
        checked="2026-11-23",
    )
    options = (
        Setting("bucket", "Bucket", required=True),
        Setting("prefix", "Prefix", "What every key starts with.", default="files"),
        Setting("region", "Region", "Where jobs run; Cloud Storage itself does not ask."),
        Setting("project", "Project", "Empty means the credentials' own."),
        Setting(
            "endpoint_url", "Endpoint", "For stores that speak GCS's API; empty means Google.", kind="url"
        ),
        Setting(
            "allowed_buckets",
            "Other buckets",
            f"Buckets that a request may name in {bucket_header}.",
            kind="list",
        ),
        Setting("kms_key_name", "KMS key", "Resource name of a key that encrypts the objects."),
        ANYWHERE,
        *BATCH_OPTIONS,
    )
    credentials = (
        Setting(
            "service_account_json",
            "Service account key",
            "The whole JSON. Without it, an operator's account uses the platform's credentials.",
            kind="text",
            secret=True,
        ),
    )

    vendor_url = "https://storage.googleapis.com"

    def check_configuration(self) -> None:
        """Refuse a key that cannot be used, besides what every object store checks."""
        super().check_configuration()
        if not self._key:
            return
        try:
            token_uri = read_service_account(self._key).get("token_uri", "")
        except ValueError:
            raise ProviderConfigurationError(
                "'service_account_json' must hold the JSON key of a service account whose universe_domain, "
                "if it has one, is googleapis.com.",
                field="service_account_json",
            ) from None
        check_endpoint(token_uri, field="service_account_json")

    def endpoints(self) -> Mapping[str, str]:
        """The store, and the server that gives out tokens for the key, which says where that is."""
        if not self._key:
            return super().endpoints()
        return {**super().endpoints(), "service_account_json": read_service_account(self._key)["token_uri"]}

    def origins(self) -> frozenset[str]:
        """Google itself is one of them where no endpoint is given."""
        return super().origins() | (frozenset() if self.endpoint_url else {"google:"})

    @property
    def _key(self) -> str | None:
        return self.account.credentials.get("service_account_json") or None

    def open_store(self) -> GCSStore:
        self.check_recipient()
        environment = self.account.environment
        return open_gcs(
            GCSConfig(
                project=self.text_option("project") or None,
                endpoint_url=self.endpoint_url,
                service_account_json=self._key,
                anonymous=self.is_anonymous,
                kms_key_name=self.text_option("kms_key_name") or None,
                chunk_bytes=environment.chunk_bytes,
                limits=environment.limits,
            )
        )
