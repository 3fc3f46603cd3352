"""Objects in Google Cloud Storage, over the client of django-storages' GoogleCloudStorage.

Bytes go up through a resumable session driven here, since the client's own upload wants a stream to pull
from, and come down as they are asked for, since `storage.open` fetches the whole object first.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final
from urllib.parse import quote

import requests
from google.api_core.exceptions import TooManyRequests
from google.cloud.storage import Blob
from google.cloud.storage.retry import DEFAULT_RETRY

from providers.exceptions import (
    ConfigurationRefusedError,
    CredentialsError,
    FileRejectedError,
    InvalidResponseError,
    ProviderError,
    RemoteFileNotFoundError,
)
from providers.objects import ByteRange, Download, Operation
from providers.transports.details import Details, facts, unpack_details
from providers.transports.gcs_client import ConfiguredStorage, GCSConfig
from providers.transports.gcs_errors import MAX_BODY_BYTES, bucket_error, error_of_answer, gcs_errors
from providers.transports.objects import (
    WITHOUT_LATE_DETAILS,
    ObjectPage,
    ObjectStore,
    StoredObject,
    Writing,
    checksum_error,
    content_type_of,
    part_of_object,
    read_exactly,
    size_error,
)
from providers.transports.parts import PartWriting

_READ_TIMEOUT_SECONDS: Final = 60
_ATTEMPTS: Final = 3
_PAGE_SIZE: Final = 500
_RETRY: Final = DEFAULT_RETRY.with_timeout(10.0)


def _is_worth_waiting(exc: Exception) -> bool:
    """Whether to ask again for a session; a store that is full says itself when, and nothing was sent yet."""
    is_full = getattr(getattr(exc, "response", None), "status_code", None) == TooManyRequests.code
    return DEFAULT_RETRY._predicate(exc) and not is_full


_RETRY_OF_START: Final = _RETRY.with_predicate(_is_worth_waiting)


@lru_cache(maxsize=64)
def open_gcs(config: GCSConfig) -> GCSStore:
    """Return the store for a configuration; clients are costly to make and safe to share between threads."""
    return GCSStore(config)


class GCSStore(ObjectStore):
    """Keeps objects in the buckets that one set of credentials opens."""

    def __init__(self, config: GCSConfig) -> None:
        self.config = config
        self.timeout = (config.limits.connect_timeout_seconds, _READ_TIMEOUT_SECONDS)
        with gcs_errors():
            self._storage = ConfiguredStorage(config)
            self._client = self._storage.client
            self.session = self._storage.session

    def begin(self, bucket: str, key: str, details: Details) -> Writing:
        return _GCSWriting(self, bucket, key, details)

    def describe(self, bucket: str, key: str) -> StoredObject:
        return _stored(self.load(bucket, key))

    def load(self, bucket: str, key: str) -> Blob:
        """Return an object with its properties. Raises RemoteFileNotFoundError."""
        blob = self.blob(bucket, key)
        with self._file_or_bucket(bucket, key), gcs_errors():
            blob.reload(timeout=self.timeout, retry=_RETRY)
        return blob

    def blob(self, bucket: str, key: str) -> Blob:
        """Return a handle on an object, without asking the store."""
        return Blob(key, self._client.bucket(bucket), kms_key_name=self.config.kms_key_name)

    def open(self, bucket: str, key: str, byte_range: ByteRange | None) -> Download:
        headers = {"Accept-Encoding": "identity"}
        if byte_range is not None:
            headers["Range"] = byte_range.header()
        path = f"/download/storage/v1/b/{quote(bucket, safe='')}/o/{quote(key, safe='')}"
        url = f"{self._storage.endpoint}{path}?alt=media"
        with gcs_errors():
            response = self.session.get(url, headers=headers, timeout=self.timeout, stream=True)
        try:
            with self._file_or_bucket(bucket, key):
                return self._download(response, byte_range)
        except BaseException:
            response.close()
            raise

    def delete(self, bucket: str, key: str) -> None:
        with self._file_or_bucket(bucket, key), gcs_errors():
            self.blob(bucket, key).delete(timeout=self.timeout, retry=_RETRY)

    def list_page(self, bucket: str, prefix: str, token: str | None) -> ObjectPage:
        try:
            with gcs_errors():
                found = self._client.list_blobs(
                    bucket,
                    prefix=prefix,
                    page_token=token,
                    page_size=_PAGE_SIZE,
                    timeout=self.timeout,
                    retry=_RETRY,
                )
                page = next(found.pages, ())
                objects = tuple(_stored(blob) for blob in page if not blob.name.endswith("/"))
        except RemoteFileNotFoundError as exc:
            raise bucket_error() from exc
        return ObjectPage(objects, found.next_page_token)

    def sweep(self, bucket: str, prefix: str, before: datetime, is_ours: Callable[[str], bool]) -> int:
        """Nothing to do: sessions cannot be listed, cost nothing, and GCS drops them after a week.

        Source: docs.cloud.google.com/storage/docs/resumable-uploads, read 2026-11-23.
        """
        return 0

    def missing_features(self, bucket: str, key: str) -> tuple[str, ...]:
        return tuple(self._missing_features(bucket, key))

    def _missing_features(self, bucket: str, key: str) -> Iterator[str]:
        try:
            with gcs_errors():
                blob = self.blob(bucket, key)
                blob.metadata = {"probe": "yes"}
                blob.patch(timeout=self.timeout, retry=_RETRY)
        except (ConfigurationRefusedError, CredentialsError) as exc:
            yield f"changes of metadata (refused with {exc.status_code}): {WITHOUT_LATE_DETAILS}"
        details = Details("probe", "text/plain")
        try:
            self.begin(bucket, key, details).publish(details)
        except FileRejectedError:
            return
        yield "preconditions (ignored): a file whose id is taken would be replaced"

    @contextmanager
    def _file_or_bucket(self, bucket: str, key: str) -> Iterator[None]:
        """Tell a missing bucket from a missing file: the status is the same."""
        try:
            yield
        except RemoteFileNotFoundError:
            self.list_page(bucket, key, None)
            raise

    def _download(self, response: requests.Response, byte_range: ByteRange | None) -> Download:
        if response.status_code not in {200, 206}:
            with gcs_errors():
                body = response.raw.read(MAX_BODY_BYTES, decode_content=True)
            raise error_of_answer(response.status_code, response.headers, body, Operation.CONTENT)
        length = response.headers.get("Content-Length", "")
        if not length.isdigit() or response.headers.get("Content-Encoding", "identity") != "identity":
            raise InvalidResponseError("The store compresses this object on its way, so its size is unknown.")
        return Download(
            chunks=self._read(response, int(length)),
            close=response.close,
            length=int(length),
            content_type=response.headers.get("Content-Type"),
            content_range=part_of_object(
                response.status_code, response.headers.get("Content-Range", ""), byte_range
            ),
        )

    def _read(self, response: requests.Response, length: int) -> Iterator[bytes]:
        with gcs_errors():
            yield from read_exactly(response.raw.read, length, self.config.chunk_bytes)


class _GCSWriting(PartWriting):
    """Sends parts to a resumable session; the object appears with the part that tells the total.

    Source: docs.cloud.google.com/storage/docs/performing-resumable-uploads, read 2026-11-23.
    """

    # GCS takes 8 KiB of metadata with an object; a little less leaves room for the upload's mark.
    max_metadata_bytes = 8_000

    def __init__(self, store: GCSStore, bucket: str, key: str, details: Details) -> None:
        super().__init__(bucket, key, details)
        self._store = store
        self._blob = store.blob(bucket, key)
        self._session_url: str | None = None
        self._part_first = 0

    def _send_part(self) -> None:
        self._deliver(last=False)
        self._part_first += self._part.tell()

    def _make_visible(self, details: Details) -> None:
        if self._session_url is None:
            self._details = details
        self._deliver(last=True)

    def _confirmed(self) -> StoredObject | None:
        return self._verified() if self._blob.crc32c else None

    def _read_back(self) -> StoredObject:
        self._blob = self._store.load(self._bucket, self._key)
        return self._verified()

    def _add_details(self, details: Details) -> None:
        if facts(details) != facts(self._details):
            self._patch(details)

    def _discard_parts(self) -> None:
        if self._session_url is not None:
            with gcs_errors():
                self._store.session.delete(self._session_url, timeout=self._store.timeout)

    def _is_published(self) -> bool:
        return self._session_url is not None and super()._is_published()

    def _stored_metadata(self) -> Mapping[str, str]:
        return self._store.load(self._bucket, self._key).metadata or {}

    def _delete(self) -> None:
        self._store.delete(self._bucket, self._key)

    def _deliver(self, *, last: bool) -> None:
        """Send the part in hand until the store has all of it, from where it stopped after a failure."""
        end = self._part.tell() + self._part_first
        total = str(end) if last else "*"
        url = self._session_url = self._session_url or self._start()
        position: int | None = self._part_first
        failures = 0
        while position is not None and (last or position < end):
            before = position
            try:
                position = self._put(url, before, end, total)
                failures += position == before  # nothing was taken, and nothing is complete
            except ProviderError as exc:
                failures += 1
                if not exc.retryable or failures == _ATTEMPTS:
                    raise
                position = self._ask_after_pause(url, before, end, failures)
            if failures == _ATTEMPTS:
                raise InvalidResponseError("The store takes no more bytes of this file.")
        self._part.seek(end - self._part_first)

    def _ask_after_pause(self, url: str, before: int, end: int, failures: int) -> int | None:
        """Return how far the store got; where it cannot be asked, nothing is known to have arrived."""
        time.sleep(random.uniform(0.1, 0.5) * 2**failures)  # noqa: S311  # jitter
        try:
            return self._put(url, end, end, total="*")
        except ProviderError:
            return before

    def _put(self, url: str, first: int, end: int, total: str) -> int | None:
        """Send the bytes from `first` to `end`, or ask how many arrived where that is none.

        Returns how many bytes of the file the store has, None when the object is complete.
        """
        span = f"{first}-{end - 1}" if first < end else "*"
        self._part.seek(first - self._part_first)
        with gcs_errors():
            response = self._store.session.put(
                url,
                data=self._part if first < end else b"",
                headers={"Content-Range": f"bytes {span}/{total}"},
                timeout=self._store.timeout,
            )
        if response.status_code in {200, 201}:
            self._take_description(response)
            return None
        if response.status_code != 308:
            # 404 and 410 both say that the session is gone, not that a file is.
            gone = response.status_code == 404
            raise error_of_answer(
                410 if gone else response.status_code, response.headers, response.content, Operation.CREATE
            )
        stored = re.fullmatch(r"bytes=0-(\d+)", response.headers.get("Range", ""))
        position = int(stored[1]) + 1 if stored else 0
        if not self._part_first <= position <= end:
            raise InvalidResponseError(f"The store confirms {position} bytes of {end} that were sent.")
        return position

    def _start(self) -> str:
        blob = self._store.blob(self._bucket, self._key)
        blob.metadata = self._metadata(self._details)
        try:
            with gcs_errors(Operation.CREATE):
                return str(
                    blob.create_resumable_upload_session(
                        content_type=content_type_of(self._key),
                        timeout=self._store.timeout,
                        checksum=None,
                        if_generation_match=0,
                        retry=_RETRY_OF_START,
                    )
                )
        except RemoteFileNotFoundError as exc:
            raise bucket_error() from exc
        except ProviderError as exc:
            exc.answered = True  # a session that nobody has the address of never becomes an object
            raise

    def _take_description(self, response: requests.Response) -> None:
        """Read the object's properties in the answer to its last bytes, where they are."""
        with suppress(ValueError):
            properties = response.json()
            if isinstance(properties, dict):
                self._blob._set_properties(properties)

    def _verified(self) -> StoredObject:
        stored = _stored(self._blob)
        if stored.bytes != self.size:
            raise size_error(stored.bytes, self.size)
        if self._blob.crc32c != str(self._crc32c):
            raise checksum_error()
        return stored

    def _patch(self, details: Details) -> None:
        """Write down what was not known when the session began: at least the checksum."""
        blob = self._blob
        blob.metadata = {**(blob.metadata or {}), **facts(details)}
        with gcs_errors():
            blob.patch(
                if_generation_match=blob.generation,
                if_metageneration_match=blob.metageneration,
                timeout=self._store.timeout,
                retry=_RETRY,
            )


def _stored(blob: Blob) -> StoredObject:
    try:
        return StoredObject(
            key=blob.name,
            bytes=blob.size or 0,  # storage-testbench leaves a size of nothing out
            created_at=blob.time_created or datetime.now(UTC),
            details=unpack_details(blob.metadata or {}),
        )
    except ValueError as exc:
        raise InvalidResponseError("The store describes the file in a way that makes no sense.") from exc
