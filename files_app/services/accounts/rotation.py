"""The keys that encrypt providers' credentials: do they fit, and the move to a new one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from files_app.models import AuditAction, ProviderAccount
from files_app.services.accounts import credentials as secrets
from files_app.services.index import audit
from files_app.services.index.callers import Caller
from files_app.services.index.transactions import in_batches
from providers.exceptions import ProviderConfigurationError

_BATCH_ROWS = 100
#: Enough to tell a wrong key from a damaged row, and quick at every start.
_SAMPLED_ROWS = 200


class Rotation(StrEnum):
    """What happened to one account's credentials."""

    ROTATED = "rotated"
    CURRENT = "current"
    FAILED = "failed"
    CHANGED = "changed meanwhile"


@dataclass(frozen=True, slots=True)
class RotationResult:
    """One account of a rotation."""

    account: ProviderAccount
    rotation: Rotation
    detail: str = ""


def rotate_credentials(*, caller: Caller, dry_run: bool = False) -> Iterator[RotationResult]:
    """Encrypt every account's credentials with the first key, and yield each account's result.

    What is done already is skipped, so that a run that broke off is simply started again. Credentials that
    somebody changes meanwhile are left alone: they are encrypted with the first key anyway.
    """
    sealed = ProviderAccount.objects.exclude(credentials="").select_related("organization")
    for batch in in_batches(sealed, _BATCH_ROWS):
        for account in batch:
            yield _rotate(account, caller, dry_run=dry_run)


def _rotate(account: ProviderAccount, caller: Caller, *, dry_run: bool) -> RotationResult:
    before = account.credentials
    try:
        secrets.unseal(account)
    except ProviderConfigurationError as exc:
        return RotationResult(account, Rotation.FAILED, str(exc))
    if secrets.is_current(account):
        return RotationResult(account, Rotation.CURRENT)
    if dry_run:
        return RotationResult(account, Rotation.ROTATED)
    secrets.reseal(account)
    unchanged = ProviderAccount.objects.filter(pk=account.pk, credentials=before)
    if not unchanged.update(credentials=account.credentials):
        return RotationResult(account, Rotation.CHANGED)
    audit.record(
        Caller(account.organization_id or 0, caller.actor_type, caller.actor),
        AuditAction.ACCOUNT_REENCRYPT,
        object_type="account",
        object_id=account.name,
    )
    return RotationResult(account, Rotation.ROTATED)


@dataclass(frozen=True, slots=True)
class KeyFit:
    """How many accounts' credentials were tried, whose cannot be decrypted, how many need an older key."""

    tried: int
    unreadable: tuple[str, ...]
    outdated: int

    @property
    def is_wrong_key(self) -> bool:
        """Whether not one could be decrypted: then the keys are wrong, not the rows."""
        return self.tried > 0 and len(self.unreadable) == self.tried


def check_keys() -> KeyFit:
    """Try FIELD_ENCRYPTION_KEYS on the credentials that are stored."""
    sealed = ProviderAccount.objects.exclude(credentials="").order_by("pk")[:_SAMPLED_ROWS]
    unreadable, outdated = [], 0
    accounts = list(sealed)
    for account in accounts:
        try:
            secrets.unseal(account)
        except ProviderConfigurationError:
            unreadable.append(account.name)
        else:
            outdated += not secrets.is_current(account)
    return KeyFit(len(accounts), tuple(unreadable), outdated)
