"""Together AI's Files API: its own uploads by signed URL, and file objects close to OpenAI's.

Source: together SDK 3.1.1, the vendor's OpenAPI document of 2026-04-28 and docs.together.ai, read 2026-11-23.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import PurePath
from typing import Final

from providers.base import Setting
from providers.exceptions import CredentialsError, FileRejectedError, ProviderError
from providers.http_driver import with_json
from providers.objects import (
    BODY_BATCH_LINES,
    Capabilities,
    FilePart,
    FileStatus,
    GiB,
    JSONObject,
    JSONValue,
    MiB,
    Operation,
    RemoteFile,
    Upload,
)
from providers.parsing import parse_objects, parse_size, parse_text, parse_time, parse_words
from providers.patience import ask_until_shown
from providers.rest_driver import RestDriver
from providers.transports.http import Request, Response, StreamBody
from providers.transports.multipart import FormField, FormFile, MultipartForm

_EXTENSIONS: Final = (".jsonl", ".csv", ".parquet")
_STATUSES: Final[Mapping[str, FileStatus]] = {
    "COMPLETED": "processed",
    "FAILED": "error",
    "INVALID_FORMAT": "error",
}


class TogetherDriver(RestDriver):
    """Uploads small files in one request, others to a signed URL, and the largest in parts."""

    name = "together"
    label = "Together AI"
    options = (
        Setting("base_url", "Endpoint", "Without /v1.", kind="url", default="https://api.together.ai"),
    )
    capabilities = Capabilities(
        purposes={"fine-tune": "fine-tune", "batch": "batch-api", "evals": "eval"},
        output_purposes={"batch-generated": "batch_output"},
        max_bytes=int(50.1 * GiB),
        extensions={"fine-tune": _EXTENSIONS, "evals": _EXTENSIONS, "batch": (".jsonl",)},
        batch_lines=(BODY_BATCH_LINES,),
        mode="transformed",
        text_fields_first=True,
        needs_whole_file=True,
        deduplicates=True,
        source="https://docs.together.ai/reference/upload-file",
        checked="2026-11-23",
    )
    # The limit of uploads in one request is not documented. The SDK changes to parts above 5 GiB, cut so.
    direct_upload_bytes = 8 * MiB
    multipart_above_bytes = 5 * GiB
    part_bytes = 250 * MiB
    max_parts = 250

    files_path = "/v1/files"

    @property
    def base_url(self) -> str:
        """The endpoint, which may be given with its path."""
        return super().base_url.removesuffix("/v1")

    def _create_file(self, upload: Upload) -> RemoteFile:
        part = upload.open_file()
        try:
            if part.length is None or part.length <= self.direct_upload_bytes:
                return self._upload_directly(upload, part)
            if part.length <= self.multipart_above_bytes:
                return self._upload_to_slot(upload, part)
            return self._upload_in_parts(upload, part, part.length)
        except CredentialsError as exc:
            if exc.status_code == 401 and self._key_works():
                raise self._refused("no more uploads: the trial credit may be used up", 402) from exc
            raise

    def parse_file(self, body: JSONObject) -> RemoteFile:
        """Read a file object; it has no `processing_status` where nothing is validated."""
        processing, report = parse_text(body.get("processing_status")), body.get("validation_report")
        if processing is None:  # older answers say `Processed` instead
            status: FileStatus = "uploaded" if body.get("Processed") is False else "processed"
        else:
            status = _STATUSES.get(processing, "uploaded")
        return RemoteFile(
            remote_id=self.checked_id(body.get("id")),
            bytes=parse_size(body.get("bytes")),
            created_at=parse_time(body.get("created_at")),
            filename=parse_text(body.get("filename")),
            purpose=self.capabilities.purpose_from(parse_text(body.get("purpose"))),
            status=status,
            status_details=parse_words(report.get("error")) if isinstance(report, Mapping) else None,
        )

    def _description(self, upload: Upload, part: FilePart) -> dict[str, str]:
        extension = PurePath(part.filename).suffix.lower()
        return {
            "purpose": self.input_purpose(upload),
            "file_name": part.filename,
            "file_type": extension[1:] if extension in _EXTENSIONS else "jsonl",
        }

    def _upload_directly(self, upload: Upload, part: FilePart) -> RemoteFile:
        fields = [FormField(*each) for each in self._description(upload, part).items()]
        request = self.upload_request("upload", upload, FormFile("file", part), fields)
        created = self.parse_file(self.send_json(Operation.CREATE, request))
        return self.check_size(created, upload)

    def _upload_to_slot(self, upload: Upload, part: FilePart) -> RemoteFile:
        description = {**self._description(upload, part), "checksum": part.sha256 or ""}
        form = MultipartForm([FormField(*each) for each in description.items()])  # the file is not in it
        request = Request("POST", self.files_url(), {"Content-Type": form.content_type}, body=b"".join(form))
        slot = self.send(Operation.CREATE, request, expected={302, 409})
        if slot.status == 409:
            return self._existing(upload, part, slot)
        slot.close()
        file_id = self.checked_id(slot.headers.get("X-Together-File-Id"))
        with self.undone_on_failure(lambda: self._delete_file(file_id)):
            body = StreamBody(part.chunks, part.length, part.reopen)
            self.put_signed(slot.headers.get("Location", ""), body)
            upload.finish()
            return self._finished(upload, file_id, self.go_on(f"{file_id}/preprocess"))

    def _upload_in_parts(self, upload: Upload, part: FilePart, length: int) -> RemoteFile:
        size = max(self.part_bytes, -(-length // self.max_parts))
        count = -(-length // size)
        totals: JSONObject = {"checksum": part.sha256, "file_size": length, "num_parts": count}
        request = self.request("POST", "multipart/initiate")
        description = {**self._description(upload, part), **totals}
        response = self.send(Operation.CREATE, with_json(request, description), expected={200, 409})
        if response.status == 409:
            return self._existing(upload, part, response)
        started = self.json_object(response)
        file_id = self.checked_id(started.get("file_id"))
        ids: JSONObject = {"upload_id": started.get("upload_id"), "file_id": file_id}
        with (
            self.undone_on_failure(lambda: self._delete_file(file_id)),
            self.undone_on_failure(lambda: self.post_json("multipart/abort", ids)),
        ):
            targets = sorted(parse_objects(started.get("parts")) or [], key=_part_number)
            if [_part_number(each) for each in targets] != list(range(1, count + 1)):
                raise self.invalid(f"it does not name the {count} parts to send")
            sent: list[JSONValue] = [
                {"part_number": number, "etag": self._put_part(target, piece)}
                for number, (target, piece) in enumerate(
                    zip(targets, _pieces(part.chunks, length, size), strict=True), start=1
                )
            ]
            upload.finish()
            done = self.go_on("multipart/complete", {**ids, "parts": sent})
            inner = done.get("file", done)
            return self._finished(upload, file_id, inner if isinstance(inner, Mapping) else {})

    def _put_part(self, target: JSONObject, piece: StreamBody) -> str:
        headers = target.get("Headers")
        fields = {k: str(v) for k, v in headers.items()} if isinstance(headers, Mapping) else {}
        url = str(target.get("URL", target.get("UploadURL", "")))
        response = self.put_signed(url, piece, fields)
        etag = response.headers.get("ETag", "").strip('"')
        if not etag:
            raise self.invalid("a part got no ETag", response)
        return etag

    def _finished(self, upload: Upload, file_id: str, body: JSONObject) -> RemoteFile:
        created = self.check_size(self.parse_file(body), upload)
        if created.remote_id != file_id:
            raise self.invalid("with another file than the one that was uploaded")
        return created

    def _existing(self, upload: Upload, part: FilePart, response: Response) -> RemoteFile:
        """Return the file that Together has already, once the upload's own checks have passed.

        Whether name and purpose count for a duplicate is not documented (read 2026-11-23), so the purpose
        is compared here.
        """
        body = self.json_object(response)
        for _ in part.chunks:
            pass
        upload.finish()
        file_id = self.checked_id(body.get("file_id"))
        found = ask_until_shown(lambda: self._retrieve_file(file_id), label=self.label)
        if found.purpose != upload.purpose:
            raise self._refused(
                f"no second copy of these bytes: it has them with the purpose '{found.purpose}'", 409
            )
        return replace(found, deduplicated=True)

    def _key_works(self) -> bool:
        """Whether the key is good elsewhere: the SDK takes a 401 on upload for used-up trial credit."""
        try:
            self._list_files(None)
        except ProviderError:
            return False
        return True

    def _refused(self, what: str, status: int) -> FileRejectedError:
        return FileRejectedError(
            f"{self.label} takes {what}.",
            status_code=status,
            code={402: "insufficient_quota", 409: "duplicate_file"}[status],
        )


def _part_number(target: JSONObject) -> int:
    """Return a part's number; both spellings are in use (read 2026-11-23)."""
    return parse_size(target.get("PartNumber", target.get("part_number"))) or 0


def _pieces(chunks: Iterator[bytes], length: int, size: int) -> Iterator[StreamBody]:
    """Cut a file into bodies of `size` bytes, to be sent one after the other."""
    rest = b""

    def take(missing: int) -> Iterator[bytes]:
        nonlocal rest
        while missing and (chunk := rest or next(chunks, b"")):
            rest = chunk[missing:]
            yield chunk[:missing]
            missing -= min(missing, len(chunk))

    for start in range(0, length, size):
        piece = min(size, length - start)
        yield StreamBody(take(piece), piece)
