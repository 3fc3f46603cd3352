"""Objects in S3, over the boto3 client of django-storages' S3Storage.

The storage holds configuration and client. Bytes do not go through its files: `open("wb")` publishes a
truncated object when an exception interrupts it, `open("rb")` fetches the whole object before the first byte,
and boto3's own `upload_fileobj` takes more than 100 MB and knows no precondition (measured 2026-11-23).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from providers.exceptions import InvalidResponseError, ProviderError, RemoteFileNotFoundError
from providers.objects import ByteRange, Download
from providers.transports.details import Details, facts, unpack_details
from providers.transports.objects import (
    ObjectPage,
    ObjectStore,
    StoredObject,
    Writing,
    checksum_error,
    content_type_of,
    exists_error,
    part_of_object,
    read_exactly,
)
from providers.transports.parts import PartWriting
from providers.transports.s3_client import S3Config, make_client
from providers.transports.s3_errors import s3_errors
from providers.transports.s3_features import FeatureLearner, Features, md5_of, missing_features

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import (
        CompletedPartTypeDef,
        CompleteMultipartUploadOutputTypeDef,
        ObjectTypeDef,
        PutObjectOutputTypeDef,
        ResponseMetadataTypeDef,
        TagTypeDef,
    )

logger = logging.getLogger(__name__)

_PAGE_SIZE: Final = 100
_HEADS_AT_ONCE: Final = 8


@lru_cache(maxsize=64)
def open_s3(config: S3Config) -> S3Store:
    """Return the store for a configuration; clients are costly to make and safe to share between threads."""
    return S3Store(config)


class S3Store(ObjectStore):
    """Keeps objects in the buckets of one S3 endpoint."""

    def __init__(self, config: S3Config) -> None:
        self.config = config
        self.learner = FeatureLearner(may_lack=config.endpoint_url is not None)
        with s3_errors():
            self.client = make_client(config)

    @property
    def encryption(self) -> dict[str, Any]:
        """The request fields that ask for encryption at rest; none leaves it to the bucket's default."""
        config = self.config
        fields = {"ServerSideEncryption": config.server_side_encryption, "SSEKMSKeyId": config.kms_key_id}
        return {name: value for name, value in fields.items() if value}

    def begin(self, bucket: str, key: str, details: Details) -> Writing:
        return _S3Writing(self, bucket, key, details)

    def describe(self, bucket: str, key: str) -> StoredObject:
        metadata, stored = self.head(bucket, key)
        if stored.details is None or stored.details.sha256 is not None:
            return stored
        late = self._tags(bucket, key)
        return StoredObject(key, stored.bytes, stored.created_at, unpack_details({**metadata, **late}))

    def head(self, bucket: str, key: str) -> tuple[Mapping[str, str], StoredObject]:
        """Return an object's metadata, and what it says without the tags."""
        try:
            with s3_errors():
                answer = self.client.head_object(Bucket=bucket, Key=key)
        except RemoteFileNotFoundError:
            self._check_place(bucket, key)
            raise
        metadata = answer["Metadata"]
        return metadata, StoredObject(
            key, answer["ContentLength"], answer["LastModified"], unpack_details(metadata)
        )

    def open(self, bucket: str, key: str, byte_range: ByteRange | None) -> Download:
        wanted: dict[str, Any] = {"Range": byte_range.header()} if byte_range else {}
        try:
            with s3_errors():
                answer = self.client.get_object(Bucket=bucket, Key=key, **wanted)
        except RemoteFileNotFoundError:
            self._check_place(bucket, key)
            raise
        body, length = answer["Body"], answer["ContentLength"]
        status = answer["ResponseMetadata"]["HTTPStatusCode"]
        try:
            content_range = part_of_object(status, answer.get("ContentRange", ""), byte_range)
        except InvalidResponseError:
            body.close()
            raise
        return Download(
            chunks=self._read(body.read, length),
            close=body.close,
            length=length,
            content_type=answer.get("ContentType"),
            content_range=content_range,
        )

    def delete(self, bucket: str, key: str) -> None:
        self.head(bucket, key)  # S3 answers 204 also for what was never there
        with s3_errors():
            self.client.delete_object(Bucket=bucket, Key=key)

    def list_page(self, bucket: str, prefix: str, token: str | None) -> ObjectPage:
        position: dict[str, Any] = {"ContinuationToken": token} if token else {}
        with s3_errors():
            answer = self.client.list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=_PAGE_SIZE, **position)
        entries = [entry for entry in answer.get("Contents", ()) if not entry["Key"].endswith("/")]
        with ThreadPoolExecutor(_HEADS_AT_ONCE) as pool:
            found = list(pool.map(lambda entry: self._describe_if_there(bucket, entry["Key"]), entries))
        objects = tuple(_listed(entries, found))
        return ObjectPage(objects, answer.get("NextContinuationToken") if answer.get("IsTruncated") else None)

    def missing_features(self, bucket: str, key: str) -> tuple[str, ...]:
        return tuple(missing_features(self.client, bucket, key))

    def sweep(self, bucket: str, prefix: str, before: datetime, is_ours: Callable[[str], bool]) -> int:
        """Abort multipart uploads that nobody will complete."""
        swept = 0
        pages = self.client.get_paginator("list_multipart_uploads")
        with s3_errors():
            for page in pages.paginate(Bucket=bucket, Prefix=prefix):
                for found in page.get("Uploads", ()):
                    if found["Initiated"] < before and is_ours(found["Key"]):
                        self.abort_multipart(bucket, found["Key"], found["UploadId"])
                        swept += 1
        return swept

    def abort_multipart(self, bucket: str, key: str, upload_id: str) -> None:
        """Throw the parts of an unfinished upload away; fine when it is gone already."""
        with suppress(self.client.exceptions.NoSuchUpload):
            self.client.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload_id)

    def _check_place(self, bucket: str, key: str) -> None:
        """Raise where it is the bucket or the whole store that is not there.

        The answer to HEAD has no body, and a stranger's 404 no code: either looks like a file that is gone.
        """
        with s3_errors():
            self.client.list_objects_v2(Bucket=bucket, Prefix=key, MaxKeys=1)

    def _describe_if_there(self, bucket: str, key: str) -> StoredObject | ProviderError | None:
        """Return an object, None where it is gone, and the error where the store will not describe it."""
        try:
            return self.describe(bucket, key)
        except RemoteFileNotFoundError:
            return None
        except ProviderError as exc:
            if exc.retryable:
                raise
            return exc

    def _tags(self, bucket: str, key: str) -> Mapping[str, str]:
        """Return an object's tags; none where they cannot be read, since nothing depends on them alone."""
        try:
            with s3_errors():
                answer = self.client.get_object_tagging(Bucket=bucket, Key=key)
        except ProviderError as exc:
            logger.info("an object's tags cannot be read: %s", exc.message)
            return {}
        return {tag["Key"]: tag["Value"] for tag in answer["TagSet"]}

    def _read(self, read: Callable[[int], bytes], length: int) -> Iterator[bytes]:
        with s3_errors():
            yield from read_exactly(read, length, self.config.chunk_bytes)


def _listed(
    entries: list[ObjectTypeDef], found: list[StoredObject | ProviderError | None]
) -> Iterator[StoredObject]:
    """Yield what a page holds; of an object that the store will not describe, only what its list says.

    Raises its error where it describes none of them: then the account may not read.
    """
    refusals = [each for each in found if isinstance(each, ProviderError)]
    if refusals and len(refusals) == len(found):
        raise refusals[0]
    for entry, each in zip(entries, found, strict=True):
        if isinstance(each, StoredObject):
            yield each
        elif each is not None:
            yield StoredObject(entry["Key"], entry["Size"], entry["LastModified"])


class _S3Writing(PartWriting):
    """A file of at most one part is a single PutObject, a larger one a multipart upload."""

    # AWS takes 2 KB of user metadata with an object; a little less leaves room for the upload's mark.
    max_metadata_bytes = 1_950

    def __init__(self, store: S3Store, bucket: str, key: str, details: Details) -> None:
        super().__init__(bucket, key, details)
        self._store = store
        self._client = store.client
        self._upload_id: str | None = None
        self._parts: list[CompletedPartTypeDef] = []
        self._answer: PutObjectOutputTypeDef | CompleteMultipartUploadOutputTypeDef | None = None

    def _send_part(self) -> None:
        with s3_errors():
            if self._upload_id is None:
                self._upload_id = self._create()
            self._upload_part(self._upload_id)

    def _make_visible(self, details: Details) -> None:
        with s3_errors():
            if self._upload_id is None:
                self._answer = self._put(details)
            else:
                self._upload_part(self._upload_id)
                self._answer = self._complete(self._upload_id)

    def _confirmed(self) -> StoredObject | None:
        if self._answer is None:
            return None
        checksum = self._answer.get("ChecksumCRC32C", "")
        is_of_whole = checksum != "" and "-" not in checksum  # `...-3` is a checksum of three checksums
        if is_of_whole and checksum != str(self._crc32c):
            raise checksum_error()
        if not is_of_whole and not self._answer.get("ETag"):
            return None
        return StoredObject(self._key, self.size, _answered_at(self._answer["ResponseMetadata"]))

    def _read_back(self) -> StoredObject:
        return self._store.head(self._bucket, self._key)[1]

    def _add_details(self, details: Details) -> None:
        if self._upload_id is not None and facts(details):
            self._tag(details)

    def _discard_parts(self) -> None:
        if self._upload_id is not None:
            with s3_errors():
                self._store.abort_multipart(self._bucket, self._key, self._upload_id)

    def _stored_metadata(self) -> Mapping[str, str]:
        return self._store.head(self._bucket, self._key)[0]

    def _delete(self) -> None:
        with s3_errors():
            self._client.delete_object(Bucket=self._bucket, Key=self._key)

    def _create(self) -> str:
        kind: dict[str, Any] = {"ChecksumAlgorithm": "CRC32C", "ChecksumType": "FULL_OBJECT"}
        answer = self._store.learner.send(
            lambda features: self._client.create_multipart_upload(
                Bucket=self._bucket,
                Key=self._key,
                ContentType=content_type_of(self._key),
                Metadata=self._metadata(self._details),
                **(kind if features.checksums else {}),
                **self._store.encryption,
            )
        )
        return answer["UploadId"]

    def _upload_part(self, upload_id: str) -> None:
        number, checksum = len(self._parts) + 1, str(self._part_crc32c)
        answer = self._store.learner.send(
            lambda features: self._client.upload_part(
                Bucket=self._bucket,
                Key=self._key,
                UploadId=upload_id,
                PartNumber=number,
                Body=self._rewound(),
                **self._checksum(features, checksum),
            )
        )
        self._parts.append({"PartNumber": number, "ETag": answer["ETag"], "ChecksumCRC32C": checksum})

    def _put(self, details: Details) -> PutObjectOutputTypeDef:
        return self._store.learner.send(
            lambda features: self._client.put_object(
                Bucket=self._bucket,
                Key=self._key,
                Body=self._rewound(),
                ContentType=content_type_of(self._key),
                Metadata=self._metadata(details),
                **self._checksum(features, str(self._crc32c)),
                **self._precondition(features),
                **self._store.encryption,
            )
        )

    def _complete(self, upload_id: str) -> CompleteMultipartUploadOutputTypeDef:
        whole: dict[str, Any] = {"ChecksumCRC32C": str(self._crc32c), "ChecksumType": "FULL_OBJECT"}
        plain: list[CompletedPartTypeDef] = [
            {"PartNumber": part["PartNumber"], "ETag": part["ETag"]} for part in self._parts
        ]
        return self._store.learner.send(
            lambda features: self._client.complete_multipart_upload(
                Bucket=self._bucket,
                Key=self._key,
                UploadId=upload_id,
                MultipartUpload={"Parts": self._parts if features.checksums else plain},
                **(whole if features.checksums else {}),
                **self._precondition(features),
            )
        )

    def _checksum(self, features: Features, crc32c: str) -> dict[str, Any]:
        """Return the field by which the store checks the bytes of the part in hand."""
        if features.checksums:
            return {"ChecksumCRC32C": crc32c}
        return {"ContentMD5": md5_of(self._part.getbuffer())}

    def _precondition(self, features: Features) -> dict[str, Any]:
        """Return the field that refuses a taken key, or look whether it is taken where there is none."""
        if features.preconditions:
            return {"IfNoneMatch": "*"}
        try:
            self._store.head(self._bucket, self._key)
        except RemoteFileNotFoundError:
            return {}
        raise exists_error()

    def _tag(self, details: Details) -> None:
        """Write down what was not known when the upload began: at least the checksum."""
        tags: list[TagTypeDef] = [{"Key": name, "Value": value} for name, value in facts(details).items()]
        with s3_errors():
            self._client.put_object_tagging(Bucket=self._bucket, Key=self._key, Tagging={"TagSet": tags})


def _answered_at(metadata: ResponseMetadataTypeDef) -> datetime:
    """Return when the store says that it answered, to the second; now where it says nothing."""
    try:
        return parsedate_to_datetime(metadata["HTTPHeaders"]["date"]).astimezone(UTC)
    except (KeyError, ValueError):
        return datetime.now(UTC)
