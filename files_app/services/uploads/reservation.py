"""Quota that holds: reserved before the first byte, exact before the last one leaves."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final, Self

from django.conf import settings
from django.db import models, transaction

from files_app.exceptions import QuotaExceededError, TemporaryError
from files_app.models import File, FileState, Organization
from files_app.services.index.all_or_nothing import NotAsExpectedError, all_or_nothing
from files_app.services.index.leases import UPLOAD, Lease, keeper, lease_end
from files_app.services.index.statements import Outcome, Run, Statement, all_of, of, parameter, together
from files_app.services.index.transactions import persistently, release_connection
from files_app.words import readable_bytes
from providers.objects import MiB

#: How much an upload of unknown length reserves at a time.
STEP_BYTES = 64 * MiB
_BYTES: Final = models.BigIntegerField()


class UploadLeaseLostError(TemporaryError):
    """The sweeper gave the upload up, because it made no progress for too long."""

    def __init__(self) -> None:
        super().__init__("The upload made no progress for too long and was given up. Send it again.")


def reserve(organization_id: int, amount: int) -> None:
    """Reserve `amount` bytes, inside the caller's transaction. Raises QuotaExceededError."""
    require_reserved(organization_id, amount, *together(reserving(organization_id, amount)))


def reserving(organization_id: int, amount: int) -> Run:
    """Return what reserves `amount` bytes, to be run with others."""
    return _RESERVE.with_values(id=organization_id, amount=amount)


def require_reserved(organization_id: int, amount: int, outcome: Outcome) -> None:
    """Raise QuotaExceededError where `amount` did not fit."""
    if not outcome.changed:
        raise quota_exceeded(organization_id, amount)


def require_room(organization: Organization, amount: int) -> None:
    """Refuse what would find no room now, without taking any. Raises QuotaExceededError.

    organization: may be some seconds old; it is not believed when it says that there is none.
    """
    if not organization.has_room_for(amount):
        organization = Organization.objects.get(pk=organization.pk)
        if not organization.has_room_for(amount):
            raise quota_exceeded(organization.pk, amount)


_RESERVE = Statement(
    lambda: Organization.objects.reserve(of(Organization, "id"), parameter("amount", _BYTES))
)


def quota_exceeded(organization_id: int, amount: int) -> QuotaExceededError:
    """Return the error with the numbers of now."""
    organization = Organization.objects.get(pk=organization_id)
    if organization.max_files and organization.file_count >= organization.max_files:
        return QuotaExceededError(
            f"The organization has {organization.file_count:,} files; "
            f"{organization.max_files:,} is as many as it may have. Delete some, or ask "
            "the operator for a higher limit."
        )
    taken = organization.used_bytes + organization.reserved_bytes
    return QuotaExceededError(
        f"The organization's storage is full: {readable_bytes(amount)} more would not fit into its quota of "
        f"{readable_bytes(organization.quota_bytes)}, of which {readable_bytes(max(0, taken))} are in use. "
        "Delete files or ask the operator for a larger quota."
    )


class Reservation:
    """What a running upload holds, and its lease. One thread uses it, inside a `with` block."""

    def __init__(self, file: File, *, slack_bytes: int) -> None:
        self._file_pk = file.pk
        self._organization_id = file.organization_id
        self._token = file.lease_token
        self.bytes = file.reserved_bytes
        self._slack_bytes = slack_bytes
        self._lease = Lease(UPLOAD, file.pk, file.lease_token, settings.UPLOAD_LEASE_SECONDS)
        self._holding = keeper.holding(self._lease)

    def __enter__(self) -> Self:
        self._holding.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._holding.__exit__(None, None, None)

    def note_progress(self, size: int) -> None:
        """Tell that `size` bytes have passed. Reserves more in steps."""
        if size > self.bytes + self._slack_bytes:
            self._hold(max(size, self.bytes + STEP_BYTES), at_least=size)
        self._lease.progressed()

    def keep_alive(self) -> None:
        """Tell that the upload moves."""
        self._lease.progressed()

    def await_answer(self) -> None:
        """Keep the lease through the wait for the provider's answer."""
        self._lease.patience_seconds += settings.PROVIDER_READ_TIMEOUT_SECONDS
        self._lease.progressed()

    def make_exact(self, size: int, *, filename: str) -> None:
        """Hold exactly `size` bytes: the last word before the provider gets the end of the file.

        From here on the provider may have the file: the row says what to look for if no answer comes, and
        the lease is kept through the wait for it.
        """
        self.await_answer()
        self._hold(size, at_least=size, facts={"filename": filename, "bytes": size})

    def _hold(self, amount: int, *, at_least: int, facts: Mapping[str, str | int] | None = None) -> None:
        """Hold `amount` bytes, or `at_least` where the full amount does not fit any more."""
        try:
            self._persist(amount, facts or {})
        except QuotaExceededError:
            if at_least == amount:
                raise
            self._persist(at_least, facts or {})
        finally:
            release_connection()

    def _persist(self, amount: int, facts: Mapping[str, str | int]) -> None:
        persistently(lambda: self._change(amount, facts))
        self.bytes = amount

    def _change(self, amount: int, facts: Mapping[str, str | int]) -> None:
        """Write what is held, once, also when an earlier try was committed without our hearing of it."""
        try:
            all_or_nothing(*self._steps(amount, facts))
        except NotAsExpectedError:
            self._change_with_care(amount, facts)

    @transaction.atomic
    def _change_with_care(self, amount: int, facts: Mapping[str, str | int]) -> None:
        hold, *rest = self._steps(amount, facts)
        [held] = together(hold)
        if not held.changed:
            if not self._is_held(amount):
                raise UploadLeaseLostError
        elif amount > self.bytes:
            require_reserved(self._organization_id, amount, *together(*rest))
        elif rest:
            together(*rest)

    def _steps(self, amount: int, facts: Mapping[str, str | int]) -> list[Run]:
        """Take the rows in the order in which the sweeper does: the file's, then the organization's."""
        hold = (_HOLD_EXACTLY if facts else _HOLD).with_values(
            id=self._file_pk,
            lease_token=self._token,
            held=self.bytes,
            amount=amount,
            lease=timedelta(seconds=settings.LEASE_SECONDS),
            **facts,
        )
        if amount > self.bytes:
            return [hold, reserving(self._organization_id, amount - self.bytes)]
        if amount < self.bytes:
            return [hold, _RELEASE.with_values(id=self._organization_id, amount=self.bytes - amount)]
        return [hold]

    def _is_held(self, amount: int) -> bool:
        return File.objects.filter(
            pk=self._file_pk, state=FileState.UPLOADING, lease_token=self._token, reserved_bytes=amount
        ).exists()


def _hold(**facts: Any) -> object:
    held = {"lease_token": of(File, "lease_token"), "reserved_bytes": parameter("held", _BYTES)}
    return File.objects.filter(pk=of(File, "id"), state=FileState.UPLOADING, **held).update(
        reserved_bytes=parameter("amount", _BYTES),
        lease_expires_at=lease_end(parameter("lease", models.DurationField())),
        **facts,
    )


_HOLD = Statement(_hold)
_HOLD_EXACTLY = Statement(lambda: _hold(**all_of(File, "filename", "bytes")))
_RELEASE = Statement(
    lambda: Organization.objects.release(of(Organization, "id"), parameter("amount", _BYTES))
)
