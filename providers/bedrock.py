"""Files for AWS Bedrock, which are objects in S3: its batch jobs read and write nothing else."""

from __future__ import annotations

import re
from typing import Final

from providers.base import Setting
from providers.batch_options import BATCH_OPTIONS, JOB
from providers.cloud_store import ANYWHERE, CloudStoreDriver
from providers.exceptions import ProviderConfigurationError
from providers.locations import s3_endpoint
from providers.objects import OPENAI_BATCH_LINES, BatchLineFormat, Capabilities, GiB
from providers.transports.s3 import S3Store, open_s3
from providers.transports.s3_client import S3Config

_REGION: Final = re.compile(r"[a-z0-9-]{1,32}")
#: Regions of other partitions than the public one: each has accounts and keys of its own.
_PARTITION: Final = re.compile(r"(cn|us-gov|us-iso[a-z]?|eu-iso[a-z]|eusc)-")


class BedrockDriver(CloudStoreDriver):
    """Keeps files in S3, or in any store that speaks its protocol."""

    name = "bedrock"
    label = "AWS Bedrock (S3)"
    scheme = "s3"
    renders_for = "bedrock"
    bucket_header = "x-tfy-aws-s3-bucket"
    role_option = "role_arn"
    # Global, regional, dualstack, FIPS, accelerated and VPC endpoints, but not `vpce-svc-...`, which is a
    # customer's own service. docs.aws.amazon.com/general/latest/gr/s3.html, read 2026-11-23.
    vendor_host = re.compile(
        r"(s3(-accelerate|-fips|-external-1)?([.-]dualstack)?([.-][a-z]{2}(-[a-z]+){1,3}-\d{1,2})?"
        r"|(bucket\.|accesspoint\.)?vpce-[a-z0-9]+(-[a-z0-9-]+)?\.s3\.[a-z]{2}(-[a-z]+){1,3}-\d{1,2}\.vpce)"
        r"\.amazonaws\.com(\.cn)?",
        re.IGNORECASE,
    )
    # Results, errors and summary, of invocation jobs and of OpenAI-compatible ones (`batch-inference-results`
    # and `inference-openai-batch` in the user guide).
    output_names = re.compile(r".*\.jsonl\.(out|err)|manifest\.json\.out")
    result_names = re.compile(r"(?P<stem>.*\.jsonl)\.(out|(?P<later>err))|(?P<summary>manifest\.json\.out)")
    capabilities = Capabilities(
        storage="s3",
        mode="object store",
        paging="token",
        ranges=True,
        renders_batches=True,
        extensions={"batch": (".jsonl",)},
        max_bytes_by_purpose={"batch": GiB},
        # OpenAI's lines are for Bedrock's OpenAI-compatible batch endpoint, the others for invocation jobs.
        batch_lines=(
            OPENAI_BATCH_LINES,
            BatchLineFormat("bedrock", {"recordId": str, "modelInput": dict}, unique="recordId"),
        ),
        source="https://docs.aws.amazon.com/bedrock/latest/userguide/batch-inference-data.html",
        checked="2026-11-23",
    )
    options = (
        Setting("bucket", "Bucket", required=True),
        Setting("prefix", "Prefix", "What every key starts with.", default="files"),
        Setting("region", "Region", "The bucket's region, for example eu-central-1."),
        Setting("endpoint_url", "Endpoint", "For stores that speak S3; empty means AWS.", kind="url"),
        Setting(
            "allowed_buckets",
            "Other buckets",
            f"Buckets that a request may name in {bucket_header}.",
            kind="list",
        ),
        Setting("server_side_encryption", "Encryption", choices=("", "AES256", "aws:kms")),
        Setting("kms_key_id", "KMS key", "Id or ARN of the key, with the encryption aws:kms."),
        Setting(
            "role_arn",
            "Role",
            "ARN of a role that is assumed with the credentials below. For accounts that an operator made.",
        ),
        ANYWHERE,
        JOB,
        *BATCH_OPTIONS,
    )
    credentials = (
        Setting("access_key_id", "Access key id", "Without keys, an operator's account uses the platform's."),
        Setting("secret_access_key", "Secret access key", secret=True),
        Setting("session_token", "Session token", "Only with temporary credentials.", secret=True),
    )

    @property
    def vendor_url(self) -> str:
        """S3's endpoint in the account's region."""
        return s3_endpoint(self.text_option("region"))

    def check_configuration(self) -> None:
        """Refuse options that contradict each other, besides what every object store checks."""
        super().check_configuration()
        region = self.text_option("region")
        if region and not _REGION.fullmatch(region):
            raise ProviderConfigurationError(f"'{region}' cannot be a region.", field="region")
        if self.text_option("kms_key_id") and self.text_option("server_side_encryption") != "aws:kms":
            raise ProviderConfigurationError(
                "'kms_key_id' needs the encryption aws:kms.", field="server_side_encryption"
            )
        given = self.account.credentials
        if bool(given.get("access_key_id")) != bool(given.get("secret_access_key")):
            raise ProviderConfigurationError(
                "Access key id and secret access key belong together.", field="secret_access_key"
            )

    def origins(self) -> frozenset[str]:
        """The endpoint, or AWS in the region's partition."""
        found = super().origins()
        if found and not self._role:
            return found
        partition = _PARTITION.match(self.text_option("region"))
        return found | {f"aws:{partition[1] if partition else ''}"}

    def open_store(self) -> S3Store:
        self.check_recipient()
        given, environment = self.account.credentials, self.account.environment
        return open_s3(
            S3Config(
                region=self.text_option("region") or None,
                endpoint_url=self.endpoint_url,
                access_key_id=given.get("access_key_id") or None,
                secret_access_key=given.get("secret_access_key") or None,
                session_token=given.get("session_token") or None,
                role_arn=self.text_option("role_arn") or None,
                anonymous=self.is_anonymous,
                server_side_encryption=self.text_option("server_side_encryption") or None,
                kms_key_id=self.text_option("kms_key_id") or None,
                chunk_bytes=environment.chunk_bytes,
                limits=environment.limits,
            )
        )
