"""Cohere's datasets, which stand in for files: named, typed, validated after the upload.

Source: cohere SDK 7.3.1, docs.cohere.com/docs/datasets and the reference there, read 2026-11-23.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

from providers.base import Setting
from providers.errors import ErrorDetails
from providers.exceptions import CredentialsError, FileRejectedError, ProviderError, ProviderUnavailableError
from providers.objects import (
    ByteRange,
    Capabilities,
    Download,
    Expiry,
    FileStatus,
    JSONObject,
    Operation,
    RemoteFile,
    Upload,
)
from providers.parsing import parse_objects, parse_size, parse_text, parse_time, parse_words
from providers.rest_driver import RestDriver
from providers.transports.multipart import FormFile

_LIFETIME: Final = timedelta(days=30)  # no field of a dataset holds it
#: Anything else (unknown, queued, processing) is on its way. The SDK takes `skipped` for a failure; here the
#: dataset is there and can be used.
_STATUSES: Final[Mapping[str, FileStatus]] = {
    "validated": "processed",
    "skipped": "processed",
    "failed": "error",
}


class CohereDriver(RestDriver):
    """Keeps a file as a dataset whose original is kept, so that its bytes can be had back."""

    name = "cohere"
    label = "Cohere"
    options = (Setting("base_url", "Endpoint", "Without /v1.", kind="url", default="https://api.cohere.com"),)
    capabilities = Capabilities(
        purposes={
            "batch": "batch-openai-chat-input",
            "fine-tune": "chat-finetune-input",
            **dict.fromkeys(("user_data", "assistants"), "embed-input"),
        },
        output_purposes={
            **dict.fromkeys(
                (
                    "reranker-finetune-input",
                    "single-label-classification-finetune-input",
                    "multi-label-classification-finetune-input",
                ),
                "fine-tune",
            ),
            **dict.fromkeys(("batch-chat-input", "batch-embed-v2-input", "batch-chat-v2-input"), "batch"),
            **dict.fromkeys(("embed-result", "cluster-result", "cluster-outliers"), "batch_output"),
        },
        max_bytes=1_500_000_000,
        extensions={
            "batch": (".jsonl",),
            "fine-tune": (".jsonl", ".csv"),
            **dict.fromkeys(("user_data", "assistants"), (".jsonl", ".csv", ".txt")),
        },
        expiry=Expiry(default_seconds=int(_LIFETIME.total_seconds())),
        paging="page",
        mode="transformed",
        text_fields_first=True,
        missing_reasons={
            Operation.CONTENT: "Only datasets that keep their original file can be downloaded, as those "
            "uploaded through this gateway do; Cohere's own results are Avro tables."
        },
        source="https://docs.cohere.com/docs/datasets",
        checked="2026-11-23",
    )

    files_path = "/v1/datasets"
    # `before` and `after` are times there. The largest `limit` is not documented, so only an empty page is
    # known to be behind the last one (read 2026-11-23).
    list_query = {"limit": "100", "offset": "0"}
    list_member = "datasets"
    page_parameter = "offset"

    def next_cursor(self, cursor: str | None, body: JSONObject, ids: list[str]) -> str | None:
        return str(int(cursor or "0") + len(ids)) if ids else None

    def file_object(self, body: JSONObject) -> JSONObject:
        dataset = body.get("dataset")
        if not isinstance(dataset, Mapping):
            raise self.invalid("there is no dataset in it")
        return dataset

    def _create_file(self, upload: Upload) -> RemoteFile:
        part = upload.open_file()
        kind = self.input_purpose(upload)
        # Everything but the bytes goes into the query, and the answer is an id alone: validation runs later.
        query = {"name": part.filename, "type": kind, "keep_original_file": "true"}
        request = self.upload_request("", upload, FormFile("data", part))
        body = self.send_json(Operation.CREATE, replace(request, query=query))
        return RemoteFile(
            remote_id=self.checked_id(body.get("id")),
            filename=part.filename,
            purpose=upload.purpose,
            status="uploaded",
            expires_at=datetime.now(UTC) + _LIFETIME,
        )

    def _download_file(self, remote_id: str, byte_range: ByteRange | None) -> Download:
        """Join the originals; their signed URLs are asked for anew, since nobody says how long they live."""
        found, dataset = self.describe(remote_id, Operation.CONTENT)
        if urls := original_urls(dataset):
            return self.open_signed(urls)
        if found.status != "uploaded":
            raise self.unsupported(Operation.CONTENT)
        raise FileRejectedError(
            f"{self.label} is still validating this file; its content can be downloaded after that.",
            status_code=409,
            code="content_not_ready",
        )

    def error_kind(
        self, operation: Operation, status: int, details: ErrorDetails
    ) -> type[ProviderError] | None:
        """Read Cohere's own statuses: 498 a blocked or invalid token, 499 a request that it gave up."""
        return {498: CredentialsError, 499: ProviderUnavailableError}.get(status)

    def parse_file(self, body: JSONObject) -> RemoteFile:
        """Read a dataset. The sizes in it are those of its Avro parts, not of the file that was uploaded."""
        created_at = parse_time(body.get("created_at"))
        status = _STATUSES.get(parse_text(body.get("validation_status")) or "", "uploaded")
        return RemoteFile(
            remote_id=self.checked_id(body.get("id")),
            bytes=None if original_urls(body) else avro_bytes(body),
            created_at=created_at,
            filename=parse_text(body.get("name")),
            purpose=self.capabilities.purpose_from(parse_text(body.get("dataset_type"))),
            status=status,
            status_details=parse_words(body.get("validation_error")),
            expires_at=created_at + _LIFETIME if created_at else None,
        )


def dataset_parts(dataset: JSONObject) -> list[JSONObject]:
    """Return a dataset's parts in their order; there are none before validation."""
    parts = parse_objects(dataset.get("dataset_parts")) or []
    return sorted(parts, key=lambda part: parse_size(part.get("index")) or 0)


def original_urls(dataset: JSONObject) -> list[str]:
    """Return the signed URLs that give the uploaded bytes back, none unless every part has one.

    Parts cut from the same original name the same URL.
    """
    urls = [parse_text(part.get("original_url"), limit=8192) for part in dataset_parts(dataset)]
    return list(dict.fromkeys(filter(None, urls))) if all(urls) else []


def avro_bytes(dataset: JSONObject) -> int | None:
    """Return the size of a dataset that Cohere made, None unless every part tells its own."""
    sizes = [parse_size(part.get("size_bytes")) for part in dataset_parts(dataset)]
    known = [size for size in sizes if size is not None]
    return sum(known) if known and len(known) == len(sizes) else None
