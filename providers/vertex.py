"""Files for Google Vertex AI, which are objects in Cloud Storage: its batch jobs know nothing else."""

from __future__ import annotations

from providers.base import Setting
from providers.exceptions import ProviderConfigurationError
from providers.object_store import ObjectStoreDriver
from providers.objects import OPENAI_BATCH_LINES, BatchLineFormat, Capabilities, GiB
from providers.transports.gcs import GCSStore, open_gcs
from providers.transports.gcs_client import GCSConfig, read_service_account


class VertexDriver(ObjectStoreDriver):
    """Keeps files in Cloud Storage, or in any store that speaks its JSON API."""

    name = "vertex"
    label = "Google Vertex AI (Cloud Storage)"
    scheme = "gs"
    bucket_header = "x-tfy-vertex-storage-bucket-name"
    output_suffixes = ("/predictions.jsonl",)
    capabilities = Capabilities(
        storage="gcs",
        mode="object store",
        paging="token",
        ranges=True,
        extensions={"batch": (".jsonl",)},
        max_bytes_by_purpose={"batch": GiB},
        batch_lines=(OPENAI_BATCH_LINES, BatchLineFormat("vertex", {"request": dict})),
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
    )
    credentials = (
        Setting(
            "service_account_json",
            "Service account key",
            "The whole JSON. Without it, the platform's own credentials are used.",
            kind="text",
            secret=True,
        ),
    )

    vendor_url = "https://storage.googleapis.com"

    def check_configuration(self) -> None:
        """Refuse a key that cannot be used, besides what every object store checks."""
        super().check_configuration()
        if (key := self.account.credentials.get("service_account_json")) is None or key == "":
            return
        try:
            token_uri = read_service_account(key).get("token_uri", "")
        except ValueError:
            raise ProviderConfigurationError(
                "'service_account_json' must hold the JSON key of a service account.",
                field="service_account_json",
            ) from None
        self._check_endpoint(token_uri, field="service_account_json")

    def open_store(self) -> GCSStore:
        environment = self.account.environment
        return open_gcs(
            GCSConfig(
                project=self.text_option("project") or None,
                endpoint_url=self.endpoint_url,
                service_account_json=self.account.credentials.get("service_account_json") or None,
                anonymous=self.is_anonymous,
                kms_key_name=self.text_option("kms_key_name") or None,
                chunk_bytes=environment.chunk_bytes,
                limits=environment.limits,
            )
        )
