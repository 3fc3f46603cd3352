"""One running upload: its bytes stream to the provider, then it is settled, or nothing of it is left."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path

import structlog
from django.conf import settings
from django.db import IntegrityError, InterfaceError, OperationalError

from files_app.models import FailureKind, File
from files_app.models.organizations import namespace_of
from files_app.services.accounts.sharing import prove_access, weigh
from files_app.services.index.metering import traffic
from files_app.services.index.transactions import persistently
from files_app.services.uploads.failure import abandon_upload, kind_of, may_be_stored, reason_of
from files_app.services.uploads.request import RunningUpload
from files_app.services.uploads.reservation import Reservation
from files_app.services.uploads.sdk_retries import earlier_upload
from files_app.services.uploads.settlement import settle
from files_app.streams.checks import UploadChecks, UploadRules
from files_app.streams.spool import arranged
from providers.exceptions import InvalidResponseError
from providers.objects import FilePart, RemoteFile, Upload, UploadPart

log = structlog.get_logger(__name__)


class AlreadyUploadedError(Exception):
    """The client sent again what it has uploaded minutes ago; `file` is the answer."""

    def __init__(self, file: File) -> None:
        super().__init__(file.file_id)
        self.file = file


class Transfer(ABC):
    """Moves the bytes of one upload, and sees to its end."""

    def __init__(self, upload: RunningUpload, checks: UploadChecks, reservation: Reservation) -> None:
        self._upload = upload
        self._checks = checks
        self._reservation = reservation
        #: Whether the provider may have got the end of the file.
        self._is_released = False

    def run(self) -> File:
        """Return the file as the index holds it. Raises GatewayError and ProviderError."""
        with self._reservation:
            return self._run()

    def _run(self) -> File:
        try:
            remote = self._send()
        except AlreadyUploadedError as exc:
            self._abandon("", may_be_stored=False)
            return exc.file
        except BaseException as exc:
            stored = self._is_released and may_be_stored(exc)
            self._abandon(reason_of(exc), kind=kind_of(exc), may_be_stored=stored)
            raise
        return self._settle_or_compensate(remote)

    @abstractmethod
    def _send(self) -> RemoteFile:
        """Give the provider the file and return what it says of it."""

    def _create(self, parts: Iterator[UploadPart]) -> RemoteFile:
        upload = self._upload
        return upload.driver.create_file(
            Upload(
                file_id=upload.file.file_id,
                namespace=namespace_of(upload.file.organization_id),
                parts=parts,
                metadata=upload.request.metadata,
                digest=lambda: self._checks.digest,
                bucket=upload.bucket,
                rendering=self._checks,
            )
        )

    def _settle_or_compensate(self, remote: RemoteFile) -> File:
        upload = self._upload
        try:
            file = persistently(lambda: settle(upload, self._checks, remote))
        except IntegrityError:
            reason = "the provider answered with the id of another file"
            self._abandon(reason, kind=FailureKind.UNCLEAR, may_be_stored=False)
            raise InvalidResponseError(
                f"{upload.driver.label} answered with the id of a file that exists already.",
                provider=upload.account.name,
                operation="create",
            ) from None
        except BaseException as exc:
            is_new = not remote.deduplicated
            self._abandon(
                reason_of(exc),
                kind=kind_of(exc),
                may_be_stored=is_new,
                remote_id=remote.remote_id if is_new else "",
            )
            raise
        traffic.count_upload(upload.request.caller, file, is_new=file.pk == upload.file.pk)
        self._learn(remote)
        return file

    def _learn(self, remote: RemoteFile) -> None:
        """Write down what a settled upload says of its account."""
        account, driver = self._upload.account, self._upload.driver
        with suppress(OperationalError, InterfaceError):  # the file is there; the next upload says it again
            if account.access_proved_at is None:
                prove_access(account)
            if remote.deduplicated:
                weigh(account, driver, [remote.remote_id])

    def _abandon(
        self, reason: str, *, may_be_stored: bool, kind: FailureKind | None = None, remote_id: str = ""
    ) -> None:
        """Fail the upload, or leave that to the sweeper: the client is told what went wrong first."""
        try:
            persistently(
                lambda: abandon_upload(
                    self._upload.file,
                    self._upload.copy,
                    caller=self._upload.request.caller,
                    reason=reason,
                    kind=kind,
                    may_be_stored=may_be_stored,
                    remote_id=remote_id,
                    filename=self._checks.filename or "",
                    size=self._checks.size,
                )
            )
        except (OperationalError, InterfaceError, IntegrityError) as exc:
            log.warning("upload_left_to_sweep", file=self._upload.file.pk, error=type(exc).__name__)


class StreamedTransfer(Transfer):
    """Passes the bytes on while they arrive; the provider gets their end when they were judged."""

    def __init__(self, upload: RunningUpload, rules: UploadRules) -> None:
        reservation = Reservation(upload.file, slack_bytes=upload.request.source.max_overhead_bytes)
        super().__init__(upload, UploadChecks(rules, on_bytes=reservation.note_progress), reservation)

    def _send(self) -> RemoteFile:
        upload = self._upload
        parts = _up_to_file(self._judged(self._checks.run(upload.request.source.parts())))
        with arranged(
            parts,
            upload.driver.capabilities,
            digest=lambda: self._checks.digest,
            directory=Path(settings.SPOOL_DIR),
            chunk_bytes=settings.UPLOAD_CHUNK_BYTES,
            on_sent=self._reservation.keep_alive,
        ) as ordered:
            return self._create(ordered)

    def _judged(self, parts: Iterator[UploadPart]) -> Iterator[UploadPart]:
        """Pass the parts on; at their end, decide whether the provider may get the end of the file."""
        yield from parts
        upload, checks = self._upload, self._checks
        if earlier := earlier_upload(upload.request, upload.account, upload.driver, checks):
            raise AlreadyUploadedError(earlier)
        upload.observer.judged(checks, upload.account)
        self._reservation.make_exact(checks.size, filename=checks.filename or "")
        self._is_released = True


class SmallTransfer(Transfer):
    """Sends what is in memory, and was judged before its row was written."""

    def __init__(self, upload: RunningUpload, checks: UploadChecks, parts: Iterable[UploadPart]) -> None:
        super().__init__(upload, checks, Reservation(upload.file, slack_bytes=0))
        self._parts = parts
        # Who has to see a file whole may publish it before the last part is pulled.
        self._is_released = upload.driver.capabilities.needs_whole_file

    def _send(self) -> RemoteFile:
        self._reservation.await_answer()
        return self._create(self._released())

    def _released(self) -> Iterator[UploadPart]:
        yield from self._parts
        self._is_released = True


def _up_to_file(parts: Iterator[UploadPart]) -> Iterator[UploadPart]:
    """Read the fields in front of the file, so that what they make impossible costs the provider nothing."""
    head: list[UploadPart] = []
    for part in parts:
        head.append(part)
        if isinstance(part, FilePart):
            break
    return chain(head, parts)
