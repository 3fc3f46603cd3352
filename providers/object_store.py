"""The base of every driver that keeps files as objects in a bucket, or on disk.

    <prefix>/<namespace>/<file id><extension>

The namespace belongs to the organization, the extension is chosen here: nothing else of a key comes from the
client. The remote id is `<bucket>/<key>`, or the key alone where there are no buckets.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import PurePosixPath
from typing import ClassVar, Final

from providers.base import Driver
from providers.exceptions import (
    FileRejectedError,
    InvalidResponseError,
    ProviderConfigurationError,
    ProviderError,
    RemoteFileNotFoundError,
)
from providers.locations import Location, object_place
from providers.objects import (
    ByteRange,
    Download,
    FilePart,
    JSONObject,
    Operation,
    RemoteFile,
    RemotePage,
    Upload,
)
from providers.parsing import check_endpoint
from providers.renditions import (
    ObjectName,
    PairWriting,
    RenditionWriting,
    batch_member,
    original_key,
    rendition_key,
)
from providers.transports.details import Details
from providers.transports.objects import CONTENT_TYPES, ObjectStore, StoredObject

_OWN_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}/(file-[A-Za-z0-9_-]{1,59})\.[a-z0-9]{1,5}")
_SEGMENT: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]")
_PREFIX: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*")


class ObjectStoreDriver(Driver):
    """Maps the five operations on an object store.

    Subclasses give the store, the scheme of its URIs, and the request header that may name another bucket.

    output_names: matches the names, without folders, that batch jobs give to what they write.
    """

    scheme: ClassVar[str] = ""
    bucket_header: ClassVar[str] = ""
    output_names: ClassVar[re.Pattern[str] | None] = None

    @cached_property
    def store(self) -> ObjectStore:
        """The transport, made on first use."""
        return self.open_store()

    @abstractmethod
    def open_store(self) -> ObjectStore:
        """Return the transport for this account."""

    @property
    def buckets(self) -> tuple[str, ...]:
        """The buckets that the account may use, its own first."""
        allowed = self.option("allowed_buckets")
        others = allowed if isinstance(allowed, list | tuple) else ()
        return tuple(dict.fromkeys([self.text_option("bucket"), *map(str, others)]))

    @property
    def prefix(self) -> str:
        """What every key starts with: empty, or ending with a slash."""
        prefix = self.text_option("prefix").strip("/")
        return f"{prefix}/" if prefix else ""

    @property
    def endpoint_url(self) -> str | None:
        """The store's own endpoint without a trailing slash; None for the vendor's."""
        return self.text_option("endpoint_url").rstrip("/") or None

    @property
    def endpoint(self) -> str | None:
        return self.endpoint_url

    @property
    def vendor_url(self) -> str:
        """Where the buckets are when no other endpoint is configured."""
        return ""

    def location(self) -> Location:
        """The folder of `prefix` in each bucket that a request may name, whatever the credentials."""
        url = self.endpoint_url or self.vendor_url
        return Location.of(object_place(url, bucket, self.prefix) for bucket in self.buckets)

    def check_configuration(self) -> None:
        """Refuse what no bucket, batch job or safe connection can have, besides what every driver checks."""
        super().check_configuration()
        for bucket in self.buckets:
            if not _BUCKET.fullmatch(bucket):
                field = "bucket" if bucket == self.buckets[0] else "allowed_buckets"
                raise ProviderConfigurationError(f"'{bucket}' cannot be the name of a bucket.", field=field)
        if self.endpoint_url is not None:
            check_endpoint(self.endpoint_url, field="endpoint_url")
        self._check_prefix()

    def _check_prefix(self) -> None:
        prefix = self.prefix.rstrip("/")
        # Bedrock takes no other characters in an s3Uri (`providers/bedrock.md` 3, read 2026-11-23).
        if prefix and not (_PREFIX.fullmatch(prefix) and len(prefix) <= 512):
            raise ProviderConfigurationError(
                "'prefix' may hold letters, digits, '.', '_' and '-' between single slashes.", field="prefix"
            )

    # -- what only an object store can do ------------------------------------------------------------------

    def file_id_of(self, remote_id: str) -> str | None:
        match = _OWN_NAME.fullmatch(self._key_below_prefix(remote_id))
        return match[1] if match else None

    def deletes_at(self, remote: RemoteFile, *, created_at: datetime) -> datetime | None:
        """Return None: the time beside an object is ours, and its store keeps it."""
        return None

    def namespace_of(self, remote_id: str) -> str | None:
        """Return the segment behind the prefix, also for what a batch job wrote below it."""
        key = self._key_below_prefix(remote_id)
        return key.partition("/")[0] if "/" in key else None

    def _find_file(self, namespace: str, file_id: str) -> RemoteFile | None:
        for bucket in self.buckets:
            page = self.store.list_page(bucket, f"{self.prefix}{namespace}/{file_id}.", None)
            for stored in page.objects:
                return self._remote_file(bucket, stored)
        return self._find_by_rendition(namespace, file_id)

    def _find_by_rendition(self, namespace: str, file_id: str) -> RemoteFile | None:
        """Return the file as it would be, had its upload not died behind the end of its rendition.

        To delete it is to delete the rendition.
        """
        key = f"{self.prefix}{namespace}/{file_id}.jsonl"
        if not self.capabilities.renders_batches or (rendition := rendition_key(key)) is None:
            return None
        for bucket in self.buckets:
            if self.store.list_page(bucket, rendition, None).objects:
                return RemoteFile(remote_id=f"{bucket}/{key}")
        return None

    def _sweep_stray(self, older_than: timedelta) -> int:
        before = datetime.now(UTC) - older_than
        return sum(self.store.sweep(bucket, self.prefix, before, self._key_is_own) for bucket in self.buckets)

    def _missing_features(self, remote_id: str) -> tuple[str, ...]:
        name = self._name_of(remote_id)
        return self.store.missing_features(name.bucket, name.key)

    # -- the five operations ---------------------------------------------------------------------------------

    def _create_file(self, upload: Upload) -> RemoteFile:
        part = upload.open_file()
        self.check_bucket(upload.bucket)
        name = ObjectName(upload.bucket or self.buckets[0], self._new_key(upload, part))
        details = Details(
            filename=part.filename,
            content_type=part.content_type,
            purpose=upload.purpose,
            expires_after_seconds=upload.expires_after_seconds,
            metadata=upload.metadata,
        )
        stored = self._write(name, details, upload, part)
        # Without `expires_at`: the gateway's clock decides, and its own time stays in the index.
        return replace(self._remote_file(name.bucket, stored), expires_at=None)

    def _write(self, name: ObjectName, details: Details, upload: Upload, part: FilePart) -> StoredObject:
        writing = PairWriting(self.store, name, details, upload.rendering)
        try:
            for chunk in part.chunks:
                writing.write(chunk)
            digest = upload.finish()
            if digest.bytes != writing.size:
                raise InvalidResponseError(f"{writing.size} bytes were written of {digest.bytes} that came.")
            return writing.publish(
                replace(
                    details,
                    purpose=upload.purpose,
                    expires_after_seconds=upload.expires_after_seconds,
                    sha256=digest.sha256,
                )
            )
        except BaseException as exc:
            is_clean = writing.abort()
            if isinstance(exc, ProviderError):
                exc.answered = exc.answered and is_clean
            raise

    def _render_file(self, remote_id: str, upload: Upload) -> JSONObject | None:
        name, part = self._name_of(remote_id), upload.open_file()
        writing = RenditionWriting(self.store, name, upload.rendering)
        try:
            for _ in part.chunks:
                writing.render()
            upload.finish()
            self._delete_rendition(name)  # of a try that died before the index knew of it
            facts = writing.publish()
        except BaseException:
            writing.abort()
            raise
        return batch_member(name, facts, self.scheme) if facts is not None else None

    def _is_rendered(self, remote_id: str) -> bool:
        name = self._name_of(remote_id)
        key = rendition_key(name.key) if self.capabilities.renders_batches else None
        return key is not None and bool(self.store.list_page(name.bucket, key, None).objects)

    def _delete_rendition(self, name: ObjectName) -> None:
        """Delete the rendition of a file, if there is one."""
        if self.capabilities.renders_batches and (key := rendition_key(name.key)) is not None:
            with suppress(RemoteFileNotFoundError):
                self.store.delete(name.bucket, key)

    def _list_files(self, cursor: str | None) -> RemotePage:
        return self.list_below(self.prefix, cursor)

    def list_below(self, prefix: str, cursor: str | None) -> RemotePage:
        """Return a page of what lies under keys that start with `prefix`, bucket after bucket."""
        index, _, token = (cursor or "0:").partition(":")
        position = int(index) if index.isascii() and index.isdigit() else len(self.buckets)
        if position >= len(self.buckets):
            return RemotePage(())
        bucket = self.buckets[position]
        page = self.store.list_page(bucket, prefix, token or None)
        files = tuple(self._remote_file(bucket, stored) for stored in page.objects)
        if page.next_token is not None:
            return RemotePage(files, f"{position}:{page.next_token}")
        return RemotePage(files, f"{position + 1}:" if position + 1 < len(self.buckets) else None)

    def list_folder(self, folder: str, token: str | None) -> tuple[tuple[RemoteFile, ...], str | None]:
        """Return a page of what lies in a folder, which is named like a remote id, and the next token."""
        bucket, _, key = folder.partition("/")
        page = self.store.list_page(bucket, f"{key}/" if key else "", token)
        return tuple(self._remote_file(bucket, stored) for stored in page.objects), page.next_token

    def _retrieve_file(self, remote_id: str) -> RemoteFile:
        name = self._name_of(remote_id)
        return self._remote_file(name.bucket, self.store.describe(name.bucket, name.key))

    def _download_file(self, remote_id: str, byte_range: ByteRange | None) -> Download:
        name = self._name_of(remote_id)
        return self.store.open(name.bucket, name.key, byte_range)

    def _delete_file(self, remote_id: str) -> None:
        name = self._name_of(remote_id)
        self._delete_rendition(name)
        self.store.delete(name.bucket, name.key)

    # -- keys and remote ids ---------------------------------------------------------------------------------

    def check_bucket(self, bucket: str | None) -> None:
        if bucket is None or bucket in self.buckets:
            return
        with self._stamped(Operation.CREATE):
            raise FileRejectedError(
                f"The provider account '{self.account.name}' does not allow the bucket '{bucket}'.",
                status_code=400,
                code="bucket_not_allowed",
                param=self.bucket_header,
            )

    def _new_key(self, upload: Upload, part: FilePart) -> str:
        if not (_SEGMENT.fullmatch(upload.namespace) and _SEGMENT.fullmatch(upload.file_id)):
            raise ValueError("an organization's namespace or a file id cannot be part of a key")
        return f"{self.prefix}{upload.namespace}/{upload.file_id}{choose_extension(part, upload.purpose)}"

    def _name_of(self, remote_id: str) -> ObjectName:
        """Return where a remote id points. Raises RemoteFileNotFoundError outside of the account."""
        bucket, _, key = remote_id.partition("/") if self.scheme else ("", "", remote_id)
        segments = key.split("/")
        if (
            bucket not in self.buckets
            or not key.startswith(self.prefix)
            or len(key) > 1024
            or not key.isprintable()
            or any(segment in {"", ".", ".."} for segment in segments)
        ):
            raise RemoteFileNotFoundError("No file of this account has this remote id.", status_code=404)
        return ObjectName(bucket, key)

    def _key_below_prefix(self, remote_id: str) -> str:
        """Return a remote id's key without the prefix; empty for a place outside of the account."""
        try:
            return self._name_of(remote_id).key.removeprefix(self.prefix)
        except RemoteFileNotFoundError:
            return ""

    def _key_is_own(self, key: str) -> bool:
        """Whether this account gives such a name, to a file or to a rendition."""
        named = self._original(key) or key
        return named.startswith(self.prefix) and bool(_OWN_NAME.fullmatch(named.removeprefix(self.prefix)))

    def _original(self, key: str) -> str | None:
        """Return the key of the file whose rendition `key` names; None where it names none.

        Also of a file of another account, whose prefix may be below or above this one's.
        """
        return original_key(key) if self.capabilities.renders_batches else None

    # -- answers ---------------------------------------------------------------------------------------------

    def _remote_file(self, bucket: str, stored: StoredObject) -> RemoteFile:
        remote_id = f"{bucket}/{stored.key}" if self.scheme else stored.key
        about = stored.details
        original = self._original(stored.key)
        file = RemoteFile(
            remote_id=remote_id,
            bytes=stored.bytes,
            created_at=stored.created_at,
            filename=PurePosixPath(stored.key).name,
            purpose="batch_output" if self._is_output(stored.key) else None,
            uri=f"{self.scheme}://{remote_id}" if self.scheme else None,
            rendition_of=f"{bucket}/{original}" if original is not None else None,
        )
        if about is None:
            return file
        lifetime = about.expires_after_seconds
        name = ObjectName(bucket, stored.key)
        return replace(
            file,
            filename=about.filename,
            purpose=about.purpose,
            content_type=about.content_type,
            sha256=about.sha256,
            metadata=about.metadata,
            batch=batch_member(name, about.batch, self.scheme) if about.batch is not None else None,
            expires_at=stored.created_at + timedelta(seconds=lifetime) if lifetime else None,
        )

    def _is_output(self, key: str) -> bool:
        """Whether a job gave the object its name; jobs write into folders of their own, at any depth."""
        names = self.output_names
        return names is not None and bool(names.fullmatch(PurePosixPath(key).name))


def choose_extension(part: FilePart, purpose: str | None) -> str:
    """Return the extension of a key: `.jsonl` for batch, else the file name's where it is a known one."""
    if purpose == "batch":
        return ".jsonl"  # Bedrock and Vertex jobs read no other (`bedrock.md` 3, `vertex.md` 4)
    extension = PurePosixPath(part.filename).suffix.lower()
    return extension if extension in CONTENT_TYPES else ".bin"
