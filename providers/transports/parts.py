"""Writes an object in parts, as S3 and GCS take it, and tells whether it was published."""

from __future__ import annotations

import base64
import logging
import secrets
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from io import BytesIO
from typing import ClassVar, Final

import google_crc32c

from providers.exceptions import FileRejectedError, ProviderError, RemoteFileNotFoundError
from providers.objects import MiB
from providers.patience import ask_until_shown
from providers.transports.details import Details, pack_details
from providers.transports.objects import StoredObject, Writing, size_error

logger = logging.getLogger(__name__)

#: S3 wants at least 5 MiB and GCS a multiple of 256 KiB (`providers/bedrock.md` 8, `vertex.md` 2).
PART_BYTES = 8 * MiB

_MARK: Final = "upload"


class CRC32C:
    """A running checksum, which S3 and GCS verify what they receive with."""

    def __init__(self) -> None:
        self._value = 0

    def update(self, chunk: bytes) -> None:
        self._value = google_crc32c.extend(self._value, chunk)

    def __str__(self) -> str:
        """Base64 of the big-endian value, as S3 and GCS spell it."""
        return base64.b64encode(self._value.to_bytes(4, "big")).decode("ascii")


class PartWriting(Writing):
    """Writes an object in parts of PART_BYTES, of which it holds one. The last is kept until `publish`.

    The object's metadata carry a mark of this upload: when an answer was lost, it tells whether the object
    under the key is the one that this upload made.
    """

    max_metadata_bytes: ClassVar[int]

    def __init__(self, bucket: str, key: str, details: Details) -> None:
        self._bucket = bucket
        self._key = key
        self._details = details
        self._mark = secrets.token_hex(16)
        self._may_be_published = False
        self._crc32c = CRC32C()
        self._begin_part()
        self._metadata(details)  # refuses before the first byte what will not fit

    def write(self, chunk: bytes) -> None:
        self.size += len(chunk)
        self._crc32c.update(chunk)
        while chunk:
            if self._part.tell() == PART_BYTES:
                self._send_part()
                self._begin_part()
            head = chunk[: PART_BYTES - self._part.tell()]
            self._part.write(head)
            self._part_crc32c.update(head)
            chunk = chunk[len(head) :]

    def publish(self, details: Details) -> StoredObject:
        self._may_be_published = True
        try:
            self._make_visible(details)
        except ProviderError as exc:
            self._may_be_published = not exc.was_unreachable
            if exc.was_unreachable or not self._is_surely_published():
                raise
        stored = self._confirmed() or ask_until_shown(self._read_back, label="The store")
        if stored.bytes != self.size:
            raise size_error(stored.bytes, self.size)
        self._try_to_add(details)
        return replace(stored, details=details)

    def _try_to_add(self, details: Details) -> None:
        """Write details down behind the object. The index has them too, so that no upload fails for them."""
        try:
            ask_until_shown(lambda: self._add_details(details), label="The store")
        except ProviderError as exc:
            logger.info("an object's late details cannot be written: %s", exc.message)

    def abort(self) -> bool:
        try:
            self._discard_parts()
            if self._may_be_published and self._is_published():
                self._delete()
        except ProviderError as exc:
            logger.warning("an aborted upload may be left behind: %s", exc.message)
            return False
        return True

    def _begin_part(self) -> None:
        self._part = BytesIO()
        self._part_crc32c = CRC32C()

    def _rewound(self) -> BytesIO:
        """Return the part in hand, to be read from its start."""
        self._part.seek(0)
        return self._part

    def _metadata(self, details: Details) -> dict[str, str]:
        return {**self._packed(details), _MARK: self._mark}

    def _packed(self, details: Details) -> dict[str, str]:
        """Return what fits: what was found in the lines is known too late to refuse a file for it."""
        try:
            return pack_details(details, max_bytes=self.max_metadata_bytes)
        except FileRejectedError:
            if details.batch is None:
                raise
        return pack_details(replace(details, batch=None), max_bytes=self.max_metadata_bytes)

    def _is_published(self) -> bool:
        """Whether the object under the key is the one that this upload made."""
        try:
            return self._stored_metadata().get(_MARK) == self._mark
        except RemoteFileNotFoundError:
            return False

    def _is_surely_published(self) -> bool:
        try:
            return self._is_published()
        except ProviderError:
            return False

    @abstractmethod
    def _send_part(self) -> None:
        """Send the part in hand, which is not the last."""

    @abstractmethod
    def _make_visible(self, details: Details) -> None:
        """Send the last part, and let the object appear unless its key is taken."""

    @abstractmethod
    def _confirmed(self) -> StoredObject | None:
        """Return what the answer to the last part proves to be stored; None where it proves nothing.

        No read has to follow a write that was confirmed: some stores show an object only seconds later.
        Raises InvalidResponseError for a checksum of something else.
        """

    @abstractmethod
    def _read_back(self) -> StoredObject:
        """Ask for the object that was written. Raises RemoteFileNotFoundError while it is not shown."""

    @abstractmethod
    def _add_details(self, details: Details) -> None:
        """Write down what was not known when the upload began."""

    @abstractmethod
    def _discard_parts(self) -> None:
        """Let the store forget the parts that it has; fine when it has none."""

    @abstractmethod
    def _stored_metadata(self) -> Mapping[str, str]:
        """Return the metadata of the object under the key. Raises RemoteFileNotFoundError."""

    @abstractmethod
    def _delete(self) -> None:
        """Remove the object under the key."""
