"""Second factors: time-based codes (RFC 6238) of an authenticator app, and recovery codes for who lost it.

The secret is encrypted with FIELD_ENCRYPTION_KEYS and bound to its user. A code is good for its 30 seconds
and those beside them, once. Five wrong codes in a row lock the factor for 15 minutes, from whatever address:
who gets so far knows the password. Recovery codes have 80 bits and are kept as digests.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

import structlog
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor import InvalidToken
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from files_app.exceptions import NotAllowedError, TooManyRequestsError
from files_app.models import AuditAction, RecoveryCode, SecondFactor
from files_app.services.accounts import credentials
from files_app.services.index import audit
from files_app.services.index.callers import Caller
from files_app.services.tenants.sign_in.claims import GROUP_NAMES
from providers.exceptions import ProviderConfigurationError

log = structlog.get_logger("sign_in")

ISSUER = "Files Gateway"
STEP_SECONDS = 30
_DIGITS = 6
_SECRET_BYTES = 20
MOST_FAILURES = 5
LOCKED = timedelta(minutes=15)
_CODES = 10
_CODE_BYTES = 10
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's: none is read as another
_EVERYONE = "everyone"


class Way(StrEnum):
    """With what somebody proved the second factor."""

    APP = "app"
    RECOVERY_CODE = "recovery code"


def factor_of(user: User) -> SecondFactor | None:
    """Return a user's second factor; None for who has none."""
    return SecondFactor.objects.filter(user=user).first()


def is_needed(user: User) -> bool:
    """Whether a user may come in with a password only together with a second factor."""
    wanted = settings.SECOND_FACTOR_FOR
    if not wanted or _EVERYONE in wanted:
        return bool(wanted)
    if user.is_superuser:
        return "superuser" in wanted
    names = set(user.groups.values_list("name", flat=True))
    return any(GROUP_NAMES.get(role) in names for role in wanted)


def new_secret(user: User) -> str:
    """Return a new secret, encrypted: it counts once `set_up` has seen a code of it."""
    return credentials.seal_text(secrets.token_hex(_SECRET_BYTES), _binding(user))


def provisioning_uri(user: User, sealed: str) -> str:
    """Return what an authenticator app is told, an `otpauth://` URI with the secret."""
    return _totp(user, sealed).get_provisioning_uri(user.username, ISSUER)


def shown_secret(user: User, sealed: str) -> str:
    """Return the secret for who types it: base32 in groups of four."""
    uri = provisioning_uri(user, sealed)
    plain = uri.partition("secret=")[2].partition("&")[0]
    return " ".join(plain[start : start + 4] for start in range(0, len(plain), 4))


def set_up(user: User, sealed: str, code: str, *, caller: Caller) -> list[str]:
    """Give the user this secret, and return recovery codes, which are never shown again.

    Raises NotAllowedError when the code is none of the secret's.
    """
    step = _step_of(user, sealed, code, after=0)
    if step is None:
        raise NotAllowedError(
            "This is not the code that the gateway expects now. Scan again, or look at your phone's clock."
        )
    with transaction.atomic():
        SecondFactor.objects.filter(user=user).delete()
        factor = SecondFactor.objects.create(user=user, secret=sealed, last_step=step)
        audit.record(caller, AuditAction.SECOND_FACTOR_SET, object_type="user", object_id=user.username)
        return _new_codes(factor)


def renew_codes(factor: SecondFactor, *, caller: Caller) -> list[str]:
    """Return new recovery codes; those before them are good for nothing any more."""
    with transaction.atomic():
        audit.record(
            caller, AuditAction.RECOVERY_CODE_MAKE, object_type="user", object_id=factor.user.username
        )
        return _new_codes(factor)


def reset(user: User, *, caller: Caller) -> bool:
    """Take the second factor and its recovery codes from a user, and return whether there was one."""
    with transaction.atomic():
        removed, _ = SecondFactor.objects.filter(user=user).delete()
        if removed:
            audit.record(caller, AuditAction.SECOND_FACTOR_RESET, object_type="user", object_id=user.username)
    return bool(removed)


def prove(factor: SecondFactor, code: str, *, caller: Caller) -> Way:
    """Take a code of the app or a recovery code, which uses it up, and return which it was.

    Raises NotAllowedError for a wrong one, TooManyRequestsError while the factor is locked.
    """
    _take_try(factor, caller)
    if _takes_code(factor, code):
        return Way.APP
    if _takes_recovery_code(factor, code, caller):
        return Way.RECOVERY_CODE
    if _mine(factor).filter(failures__gte=MOST_FAILURES).exists():
        raise _lock(factor, caller)
    raise NotAllowedError("This code is wrong, or was used before. Wait for the next one of your app.")


def codes_left(factor: SecondFactor) -> int:
    """Return how many recovery codes were not used yet."""
    return factor.recovery_codes.filter(used_at=None).count()


@dataclass(frozen=True, slots=True)
class Resealed:
    """How many secrets are now encrypted with the first key that were not, and whose no key decrypts."""

    resealed: int
    unreadable: list[str]


def reseal_all(*, dry_run: bool = False) -> Resealed:
    """Encrypt every secret with the first key."""
    done, unreadable = 0, []
    for factor in SecondFactor.objects.select_related("user").order_by("pk"):
        if not credentials.can_unseal(factor.secret):
            unreadable.append(factor.user.username)
        elif not credentials.can_unseal(factor.secret, with_first=True):
            done += 1
            if not dry_run:
                fresh = credentials.reseal_text(factor.secret)
                SecondFactor.objects.filter(pk=factor.pk, secret=factor.secret).update(secret=fresh)
    return Resealed(done, unreadable)


def _takes_code(factor: SecondFactor, code: str) -> bool:
    try:
        step = _step_of(factor.user, factor.secret, code, after=factor.last_step)
    except ProviderConfigurationError as exc:  # recovery codes still work
        log.error("second_factor_unreadable", user=factor.user.username, reason=str(exc))
        return False
    if step is None:
        return False
    unused = SecondFactor.objects.filter(pk=factor.pk, last_step__lt=step)  # of two at once, one is first
    return bool(unused.update(last_step=step, failures=0, locked_until=None))


def _takes_recovery_code(factor: SecondFactor, code: str, caller: Caller) -> bool:
    unused = RecoveryCode.objects.filter(factor=factor, digest=_digest(factor, code), used_at=None)
    with transaction.atomic():
        if not unused.update(used_at=timezone.now()):
            return False
        SecondFactor.objects.filter(pk=factor.pk).update(failures=0, locked_until=None)
        audit.record(
            caller,
            AuditAction.RECOVERY_CODE_USE,
            object_type="user",
            object_id=factor.user.username,
            left=codes_left(factor),
        )
    return True


def _mine(factor: SecondFactor) -> QuerySet[SecondFactor]:
    return SecondFactor.objects.filter(pk=factor.pk)


def _take_try(factor: SecondFactor, caller: Caller) -> None:
    """Count a try before its code is looked at: many at once are no more than one after the other."""
    is_open = Q(locked_until=None) | Q(locked_until__lte=timezone.now())
    taken = _mine(factor).filter(is_open, failures__lt=MOST_FAILURES)
    is_taken = taken.update(failures=F("failures") + 1)
    factor.refresh_from_db()
    if not is_taken:
        raise _lock(factor, caller)


def _lock(factor: SecondFactor, caller: Caller) -> TooManyRequestsError:
    """Lock the factor after too many failures, if nobody has, and return what tells so."""
    locked_until = timezone.now() + LOCKED
    if _mine(factor).filter(failures__gte=MOST_FAILURES).update(failures=0, locked_until=locked_until):
        audit.record(
            caller, AuditAction.SECOND_FACTOR_LOCK, object_type="user", object_id=factor.user.username
        )
        factor.locked_until = locked_until
    seconds = max(1.0, ((factor.locked_until or locked_until) - timezone.now()).total_seconds())
    return TooManyRequestsError(
        f"There were {MOST_FAILURES} wrong codes. Try again in a quarter of an hour, or ask a superuser "
        "to reset your second factor.",
        retry_after_seconds=seconds,
    )


def _step_of(user: User, sealed: str, code: str, *, after: int) -> int | None:
    """Return the step, of now and beside now, whose code this is; None where none later than `after` fits."""
    digits = "".join(code.split())
    if not (digits.isascii() and digits.isdigit() and len(digits) == _DIGITS):
        return None
    totp, now = _totp(user, sealed), int(time.time()) // STEP_SECONDS
    return next((step for step in _steps(now) if step > after and _is_code(totp, digits, step)), None)


def _steps(now: int) -> Iterator[int]:
    yield from (now, now - 1, now + 1)


def _is_code(totp: TOTP, digits: str, step: int) -> bool:
    try:
        totp.verify(digits.encode(), step * STEP_SECONDS)
    except InvalidToken:
        return False
    return True


def _totp(user: User, sealed: str) -> TOTP:
    key = bytes.fromhex(credentials.unseal_text(sealed, _binding(user)))
    return TOTP(key, _DIGITS, SHA1(), STEP_SECONDS)  # noqa: S303 - the one that every app knows


def _new_codes(factor: SecondFactor) -> list[str]:
    codes = [_recovery_code() for _ in range(_CODES)]
    factor.recovery_codes.all().delete()
    RecoveryCode.objects.bulk_create(
        RecoveryCode(factor=factor, digest=_digest(factor, code)) for code in codes
    )
    return codes


def _recovery_code() -> str:
    number = int.from_bytes(secrets.token_bytes(_CODE_BYTES))
    letters = "".join(_ALPHABET[(number >> shift) & 31] for shift in range(0, _CODE_BYTES * 8, 5))
    return "-".join(letters[start : start + 4] for start in range(0, len(letters), 4))


def _digest(factor: SecondFactor, code: str) -> str:
    plain = "".join(code.lower().replace("-", "").split())
    return hashlib.sha256(f"{factor.user_id}:{plain}".encode(errors="surrogateescape")).hexdigest()


def _binding(user: User) -> str:
    return f"user:{user.pk}:second_factor"
