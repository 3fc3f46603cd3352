"""What a store that speaks S3 may lack of what AWS has.

Backblaze B2 answers 400 InvalidArgument to every `x-amz-checksum-` header, Cloudflare R2 501 NotImplemented
to CRC32C and to tags, others 501 to `If-None-Match` (issues of their users, read 2026-11-25).
"""

from __future__ import annotations

import base64
import hashlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from botocore.exceptions import ClientError

from providers.exceptions import (
    ConfigurationRefusedError,
    CredentialsError,
    FileRejectedError,
    ProviderError,
)
from providers.transports.objects import WITHOUT_LATE_DETAILS
from providers.transports.parts import CRC32C
from providers.transports.s3_errors import s3_errors

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

logger = logging.getLogger(__name__)

AnswerT = TypeVar("AnswerT")

_REFUSING_CODES: Final = frozenset({"InvalidArgument", "InvalidRequest", "NotImplemented"})
_PROBE: Final = b"Probe of the files gateway. Safe to delete.\n"


@dataclass(frozen=True, slots=True)
class Features:
    """What is sent with a write: CRC32C checksums, and the precondition that the key is free."""

    checksums: bool = True
    preconditions: bool = True

    def fewer(self) -> Iterator[Features]:
        """Yield what is left to try without one of them, and without both."""
        if self.preconditions:
            yield Features(self.checksums, preconditions=False)
        if self.checksums:
            yield Features(checksums=False, preconditions=self.preconditions)
        if self.preconditions and self.checksums:
            yield Features(checksums=False, preconditions=False)


class FeatureLearner:
    """Sends writes with all that a store takes, which it learns from the first that is refused.

    may_lack: False for AWS itself, which has everything: there a refusal means something else.
    """

    def __init__(self, *, may_lack: bool) -> None:
        self.features = Features()
        self._may_lack = may_lack

    def send(self, request: Callable[[Features], AnswerT]) -> AnswerT:
        """Return the answer to a request that is made from features.

        Raises ClientError, the first one where all that is tried is refused.
        """
        known = self.features
        try:
            return request(known)
        except ClientError as exc:
            if not self._may_lack or not _may_be_a_feature(exc):
                raise
            refusal = exc
        for features in known.fewer():
            try:
                answer = request(features)
            except ClientError as exc:
                if not _may_be_a_feature(exc):
                    raise
            else:
                self.features = features
                logger.warning("a store refuses part of what protects a write; it gets %s", features)
                return answer
        raise refusal


def _may_be_a_feature(exc: ClientError) -> bool:
    status = exc.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return status == 501 or exc.response.get("Error", {}).get("Code") in _REFUSING_CODES


def md5_of(part: bytes | memoryview) -> str:
    """Return the Content-MD5 of bytes, which every store checks that does not know CRC32C."""
    return base64.b64encode(hashlib.md5(part, usedforsecurity=False).digest()).decode("ascii")


class _Probe(NamedTuple):
    """try_it: returns normally where the store has the feature. lack: what is so without it."""

    name: str
    lack: str
    try_it: Callable[[S3Client, str, str], None]


class _IgnoredError(Exception):
    """The store took what it should have refused."""


def missing_features(client: S3Client, bucket: str, key: str) -> Iterator[str]:
    """Yield what the store lacks, and what follows from that. Overwrites the object, which must be there.

    Raises ProviderError for what says nothing of the store, such as a broken connection.
    """
    for probe in _PROBES:
        try:
            with s3_errors():
                probe.try_it(client, bucket, key)
        except _IgnoredError:
            yield f"{probe.name} (ignored): {probe.lack}"
        except (ConfigurationRefusedError, CredentialsError, FileRejectedError) as exc:
            yield f"{probe.name} (refused with {exc.status_code}): {probe.lack}"


def _try_tags(client: S3Client, bucket: str, key: str) -> None:
    client.put_object_tagging(Bucket=bucket, Key=key, Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
    if not client.get_object_tagging(Bucket=bucket, Key=key)["TagSet"]:
        raise _IgnoredError


def _try_precondition(client: S3Client, bucket: str, key: str) -> None:
    try:
        with s3_errors():
            client.put_object(Bucket=bucket, Key=key, Body=_PROBE, IfNoneMatch="*")
    except FileRejectedError:
        return
    raise _IgnoredError


def _try_checksum(client: S3Client, bucket: str, key: str) -> None:
    right = CRC32C()
    right.update(_PROBE)
    client.put_object(Bucket=bucket, Key=key, Body=_PROBE, ChecksumCRC32C=str(right))
    try:
        with s3_errors():
            client.put_object(Bucket=bucket, Key=key, Body=_PROBE, ChecksumCRC32C=str(CRC32C()))
    except ProviderError as exc:
        if exc.status_code != 400:
            raise
        return
    raise _IgnoredError


def _try_parts(client: S3Client, bucket: str, key: str) -> None:
    upload_id = client.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    try:
        client.list_multipart_uploads(Bucket=bucket, Prefix=key)
    finally:
        client.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload_id)


_PROBES: Final = (
    _Probe("tags", WITHOUT_LATE_DETAILS, _try_tags),
    _Probe("preconditions", "the gateway looks whether an id is free before it writes", _try_precondition),
    _Probe("CRC32C checksums", "bytes are checked by MD5 where the store does that", _try_checksum),
    _Probe(
        "lists of unfinished uploads",
        "parts that a killed process left stay until a lifecycle rule of the bucket removes them",
        _try_parts,
    ),
)
