"""API keys: made, shown once, looked up by a keyed digest.

Format: `fgw_` + 8 characters that may be shown + 32 secret ones + 6 of a checksum, all of them base62, so
that a secret scanner finds a leaked key by `fgw_[0-9A-Za-z]{46}` and a mistyped one costs no query.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import string
import threading
import time
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from files_app.exceptions import InvalidKeyError, InvalidRequestError
from files_app.models import ApiKey, AuditAction, Organization, RetiredSecret
from files_app.models.organizations import all_scopes
from files_app.services.index import audit, writability
from files_app.services.index.callers import Caller
from files_app.services.index.limits import Limits, limits_of
from files_app.services.index.recent import organization_now
from files_app.services.index.rows import Lookup
from files_app.services.index.statements import Statement, all_of, of

KEY_PREFIX = "fgw_"
MIN_SUPPLIED_CHARACTERS = 32
MAX_CHARACTERS = 512
_ALPHABET = string.digits + string.ascii_letters
_RANDOM_CHARACTERS = 40
_CACHE_SECONDS = 5.0
_LAST_USED_RESOLUTION = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class VerifiedKey:
    """A key that is good now."""

    id: int
    name: str
    organization_id: int
    organization_name: str
    scopes: frozenset[str]
    expires_at: datetime | None
    limits: Limits


def generate_key() -> str:
    """Return a new random key with its checksum."""
    body = "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM_CHARACTERS))
    return KEY_PREFIX + body + _checksum(KEY_PREFIX + body)


def digest_of(key: str, pepper: str) -> str:
    """Return what is stored of a key."""
    return hmac.digest(pepper.encode(), key.encode(), "sha256").hex()


def create_key(
    *,
    organization: Organization,
    name: str,
    caller: Caller,
    key: str | None = None,
    scopes: Iterable[str] | None = None,
    expires_at: datetime | None = None,
    rates: Mapping[str, int | None] | None = None,
) -> tuple[ApiKey, str]:
    """Create a key and return it with its plaintext, which nothing can show again.

    key: a key chosen by an operator, 32 to 512 characters. rates: its own, by the names of their columns.
    Raises InvalidRequestError.
    """
    if key is not None:
        _check_supplied(key)
    plain = generate_key() if key is None else key
    wanted = sorted(set(scopes)) if scopes is not None else all_scopes()
    if not wanted or not set(wanted) <= set(all_scopes()):
        raise InvalidRequestError(f"The scopes are: {', '.join(all_scopes())}.", param="scopes")
    row = ApiKey(
        organization=organization,
        name=name,
        prefix=plain[:12],
        last_four=plain[-4:],
        digest=digest_of(plain, settings.API_KEY_PEPPERS[0]),
        scopes=wanted,
        expires_at=expires_at,
        created_by=caller.actor[:150],
        **(rates or {}),
    )
    with transaction.atomic():
        check_new_key(row)
        row.save(force_insert=True)
        audit.record(caller, AuditAction.KEY_CREATE, object_type="api_key", object_id=str(row), scopes=wanted)
    return row, plain


def _check_supplied(key: str) -> None:
    """Refuse a key that could be guessed, and one that no request could use. Raises InvalidRequestError."""
    is_long_enough = MIN_SUPPLIED_CHARACTERS <= len(key) <= MAX_CHARACTERS
    if not is_long_enough or not key.isascii() or not key.isprintable() or key != key.strip():
        raise InvalidRequestError(
            f"A supplied API key needs at least {MIN_SUPPLIED_CHARACTERS} printable ASCII characters, "
            f"{MAX_CHARACTERS} at most, and no space around them.",
            param="key",
        )
    if not _checksum_fits(key):
        raise InvalidRequestError(
            f"A supplied API key of the gateway's own form ({KEY_PREFIX}...) has to be one that it made: the "
            "last characters of this one do not fit the others. Copy it again, or choose another form.",
            param="key",
        )


def check_new_key(row: ApiKey) -> None:
    """Refuse a key that cannot be, or that is there already. Raises InvalidRequestError."""
    try:
        row.clean_fields(exclude={"prefix", "digest"})
    except ValidationError as exc:
        name, problems = next(iter(exc.message_dict.items()))
        raise InvalidRequestError(f"{name}: {problems[0]}", param=name) from None
    if ApiKey.objects.filter(organization=row.organization, name=row.name, revoked_at=None).exists():
        raise InvalidRequestError(
            f"{row.organization.name} has a key '{row.name}' already: choose another, or rotate that one.",
            param="name",
        )
    if is_known([row.digest]):
        raise InvalidRequestError("This key exists already, or existed: supply another one.", param="key")


def revoke_key(row: ApiKey, *, caller: Caller) -> None:
    """Revoke a key; other processes notice within five seconds."""
    with transaction.atomic():
        changed = ApiKey.objects.filter(pk=row.pk, revoked_at=None).update(revoked_at=timezone.now())
        if changed:
            audit.record(caller, AuditAction.KEY_REVOKE, object_type="api_key", object_id=str(row))
    _cache.clear()


def is_known(digests: Iterable[str]) -> bool:
    """Whether a secret is, or ever was, that of a key."""
    wanted = list(digests)
    return (
        ApiKey.objects.filter(digest__in=wanted).exists()
        or RetiredSecret.objects.filter(digest__in=wanted).exists()
    )


def verify_key(plain: str, *, ip: str | None = None) -> VerifiedKey:
    """Return the key's identity, also by a secret that a rotation replaced, until its time is over.

    Notes that it is used, and from which address (`ip`).

    Raises InvalidKeyError, the same for unknown, revoked and expired keys.
    """
    if not plain or len(plain) > MAX_CHARACTERS:
        raise _refused()
    verified = known = _cache.get(plain)
    if verified is None and _checksum_fits(plain):
        verified = _look_up([digest_of(plain, pepper) for pepper in settings.API_KEY_PEPPERS], ip)
    if verified is None or (verified.expires_at is not None and verified.expires_at <= timezone.now()):
        raise _refused()
    if known is None:
        _cache.put(plain, verified)
    return verified


def _look_up(digests: list[str], ip: str | None) -> VerifiedKey | None:
    row = next((row for digest in digests for row in _LIVE(digest)), None)
    if row is None:
        return _look_up_retired(digests, ip)
    organization = organization_now(row.organization_id)
    if organization is None or not any(hmac.compare_digest(row.digest, digest) for digest in digests):
        return None
    row.organization = organization
    _note_use(row, ip)
    return _verified(row, row.expires_at)


_LIVE = Lookup(
    ApiKey,
    lambda: ApiKey.objects.filter(digest="DIGEST", revoked_at=None, organization__is_active=True).order_by(),
    ["DIGEST"],
)


def _look_up_retired(digests: list[str], ip: str | None) -> VerifiedKey | None:
    secret = (
        RetiredSecret.objects.filter(
            digest__in=digests,
            valid_until__gt=timezone.now(),
            key__revoked_at=None,
            key__organization__is_active=True,
        )
        .select_related("key__organization")
        .first()
    )
    if secret is None or not any(hmac.compare_digest(secret.digest, digest) for digest in digests):
        return None
    _note_use(secret)
    _note_use(secret.key, ip)
    return _verified(secret.key, min(secret.valid_until, secret.key.expires_at or secret.valid_until))


def _verified(row: ApiKey, expires_at: datetime | None) -> VerifiedKey:
    return VerifiedKey(
        id=row.pk,
        name=row.name,
        organization_id=row.organization_id,
        organization_name=row.organization.name,
        scopes=frozenset(row.scopes),
        expires_at=expires_at,
        limits=limits_of(row.organization, row),
    )


def _note_use(row: ApiKey | RetiredSecret, ip: str | None = None) -> None:
    now = timezone.now()
    if row.last_used_at is None or row.last_used_at < now - _LAST_USED_RESOLUTION:
        with writability.worth_no_failure("key_use_not_noted", key=row.pk):
            if isinstance(row, ApiKey):
                _KEY_USED.change(id=row.pk, last_used_at=now, last_used_ip=ip)
            else:
                RetiredSecret.objects.filter(pk=row.pk).update(last_used_at=now)


_KEY_USED = Statement(
    lambda: ApiKey.objects.filter(pk=of(ApiKey, "id")).update(
        **all_of(ApiKey, "last_used_at", "last_used_ip")
    )
)


def _refused() -> InvalidKeyError:
    return InvalidKeyError("Incorrect API key provided. Send a valid key as 'Authorization: Bearer KEY'.")


def _checksum(text: str) -> str:
    number, letters = zlib.crc32(text.encode()), ""
    for _ in range(6):
        number, digit = divmod(number, len(_ALPHABET))
        letters = _ALPHABET[digit] + letters
    return letters


def _checksum_fits(key: str) -> bool:
    """Reject garbage of our own format before it costs a query; an operator's own key has no checksum."""
    if not (key.startswith(KEY_PREFIX) and len(key) == len(KEY_PREFIX) + _RANDOM_CHARACTERS + 6):
        return True
    return hmac.compare_digest(key[-6:].encode(), _checksum(key[:-6]).encode())


class _KeyCache:
    """Good keys of the last five seconds; never a bad one. None stands here as it was shown."""

    def __init__(self, max_entries: int = 10_000) -> None:
        self._entries: dict[bytes, tuple[float, VerifiedKey]] = {}
        self._pepper = secrets.token_bytes(32)
        self._lock = threading.Lock()
        self._max_entries = max_entries

    def get(self, plain: str) -> VerifiedKey | None:
        entry = self._entries.get(self._digest(plain))
        return entry[1] if entry is not None and entry[0] > time.monotonic() else None

    def put(self, plain: str, key: VerifiedKey) -> None:
        digest = self._digest(plain)
        with self._lock:
            if len(self._entries) >= self._max_entries:
                self._entries.clear()
            self._entries[digest] = (time.monotonic() + _CACHE_SECONDS, key)

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()

    def _digest(self, plain: str) -> bytes:
        return hashlib.blake2b(plain.encode(), key=self._pepper, digest_size=32).digest()


_cache = _KeyCache()


def forget_cached_keys() -> None:
    """Let the next request of every key ask the database."""
    _cache.clear()
