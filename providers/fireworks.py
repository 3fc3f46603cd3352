"""Fireworks' datasets, which stand in for files: made empty, then filled.

Source: fireworks-ai SDK 1.2.30 and docs.fireworks.ai (API reference, batch inference), read 2026-11-23.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from urllib.parse import parse_qs

from providers.base import Setting
from providers.objects import (
    BODY_BATCH_LINES,
    ByteRange,
    Capabilities,
    Download,
    FilePart,
    FileStatus,
    JSONObject,
    Operation,
    RemoteFile,
    Upload,
)
from providers.parsing import parse_size, parse_text, parse_time, parse_words, path_segment, split_url
from providers.rest_driver import RestDriver, was_refused
from providers.transports.http import StreamBody
from providers.transports.multipart import FormFile


class FireworksDriver(RestDriver):
    """Keeps a file as a dataset under an id made from the gateway's; the index keeps purpose and size."""

    name = "fireworks"
    label = "Fireworks AI"
    options = (
        Setting("base_url", "Endpoint", "Without /v1.", kind="url", default="https://api.fireworks.ai"),
        Setting("account_id", "Account ID", "The account's short name, as in accounts/<id>.", required=True),
    )
    capabilities = Capabilities(
        purposes={"fine-tune": "fine-tune", "batch": "batch"},
        max_bytes_by_purpose={"batch": 500_000_000},
        extensions={"fine-tune": (".jsonl",), "batch": (".jsonl",)},
        paging="token",
        batch_lines=(BODY_BATCH_LINES,),
        mode="transformed",
        text_fields_first=True,
        needs_whole_file=True,
        missing_reasons={
            Operation.CONTENT: "Only datasets of JSONL files that have been uploaded can be downloaded."
        },
        source="https://docs.fireworks.ai/api-reference/create-dataset",
        checked="2026-11-23",
    )
    direct_upload_bytes = 150_000_000

    list_query = {"pageSize": "200"}
    list_member = "datasets"
    omits_empty_list = True
    page_parameter = "pageToken"
    next_member = "nextPageToken"

    @property
    def files_path(self) -> str:
        return f"/v1/accounts/{path_segment(self.text_option('account_id'))}/datasets"

    def _create_file(self, upload: Upload) -> RemoteFile:
        part = upload.open_file()
        self.input_purpose(upload)
        if part.length is None or part.reopen is None:
            raise AssertionError("needs_whole_file makes the service spool the file")
        dataset_id = dataset_id_for(upload.file_id)
        dataset: JSONObject = {
            "displayName": part.filename,
            "exampleCount": str(count_lines(part.reopen())),  # wanted before the bytes, as text
            "userUploaded": {},
        }
        # After a refusal there is nothing of ours, above all when the dataset was there already (409).
        with self.undone_on_failure(lambda: self._delete_file(dataset_id), unless=was_refused):
            self.post_json("", {"datasetId": dataset_id, "dataset": dataset})
        with self.undone_on_failure(lambda: self._delete_file(dataset_id)):
            if part.length <= self.direct_upload_bytes:
                answer = self._upload_directly(upload, part, dataset_id)
            else:
                answer = self._upload_to_signed_url(upload, part, part.length, dataset_id)
            if answer.get("error") or answer.get("id") not in (None, dataset_id):  # all members are optional
                raise self.invalid("not about the file that was sent")
            created = RemoteFile(
                remote_id=dataset_id,
                bytes=parse_size(answer.get("bytes")),
                created_at=parse_time(answer.get("created_at")),
                filename=part.filename,
                purpose=upload.purpose,
                status="uploaded",
            )
            return self.check_size(created, upload)

    def _download_file(self, remote_id: str, byte_range: ByteRange | None) -> Download:
        request = self.request("GET", f"{self.id_segment(remote_id)}:getDownloadEndpoint")
        urls = signed_urls(self.send_json(Operation.CONTENT, request))
        # Shards of JSONL joined in the order of their names are JSONL again; of nothing else is that known.
        if not urls or (len(urls) > 1 and not all(name.endswith(".jsonl") for name in urls)):
            raise self.unsupported(Operation.CONTENT)
        return self.open_signed([urls[name] for name in sorted(urls)])

    def parse_file(self, body: JSONObject) -> RemoteFile:
        """Read a dataset; it tells neither size nor purpose."""
        found = body.get("status")
        problem = found if isinstance(found, Mapping) and found.get("code") not in {None, "", "OK"} else {}
        status: FileStatus = "processed" if body.get("state") == "READY" else "uploaded"
        return RemoteFile(
            remote_id=self.checked_id((parse_text(body.get("name")) or "").rpartition("/")[2]),
            created_at=parse_time(body.get("createTime")),
            filename=parse_text(body.get("displayName")),
            status="error" if problem else status,
            status_details=parse_words(problem.get("message")),
        )

    def _upload_directly(self, upload: Upload, part: FilePart, dataset_id: str) -> JSONObject:
        file = FilePart(shard_name(dataset_id), part.content_type, part.chunks, part.length)
        request = self.upload_request(f"{dataset_id}:upload", upload, FormFile("file", file))
        return self.send_json(Operation.CREATE, request)

    def _upload_to_signed_url(
        self, upload: Upload, part: FilePart, length: int, dataset_id: str
    ) -> JSONObject:
        shard = shard_name(dataset_id)
        slots = self.go_on(f"{dataset_id}:getUploadEndpoint", {"filenameToSize": {shard: str(length)}})
        target = signed_urls(slots).get(shard, "")
        body = StreamBody(part.chunks, length, part.reopen)
        self.put_signed(target, body, signed_headers(target, length))
        upload.finish()
        return self.go_on(f"{dataset_id}:validateUpload", {})


def dataset_id_for(file_id: str) -> str:
    """Return a dataset's id: 1 to 63 of a-z, 0-9 and inner hyphens.

    Source: docs.fireworks.ai/getting-started/concepts, read 2026-11-23.
    """
    return re.sub(r"[^a-z0-9]+", "-", file_id.lower())[:63].strip("-")


def shard_name(dataset_id: str) -> str:
    """Return the name under which bytes are sent: it must end in lower-case `.jsonl`."""
    return f"{dataset_id}.jsonl"


def count_lines(chunks: Iterator[bytes]) -> int:
    """Count the lines that hold more than white space."""
    count, is_filled = 0, False
    for chunk in chunks:
        first, *others = chunk.split(b"\n")
        is_filled = is_filled or bool(first.strip())
        for line in others:
            count += is_filled
            is_filled = bool(line.strip())
    return count + is_filled


def signed_urls(body: JSONObject) -> dict[str, str]:
    """Return file name -> signed URL."""
    urls = body.get("filenameToSignedUrls")
    return {name: str(url) for name, url in urls.items()} if isinstance(urls, Mapping) else {}


def signed_headers(url: str, length: int) -> dict[str, str]:
    """Return the headers that a signed Google URL wants, with the values that Fireworks signs.

    Those that it did not sign would make the storage refuse the upload (seen in public clients of the API,
    read 2026-11-23; the reference does not name them).
    """
    signed = parse_qs(split_url(url).query).get("X-Goog-SignedHeaders", [""])[0].lower().split(";")
    values = {
        "content-type": "application/octet-stream",
        "x-goog-content-length-range": f"{length},{length}",
    }
    return {name: value for name, value in values.items() if name in signed}
