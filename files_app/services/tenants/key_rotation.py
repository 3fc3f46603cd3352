"""A new secret for a key that stays: same row, name, scopes, expiry, rates and files.

The secret before it may go on working for some time, so that clients are moved without a gap.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from files_app.exceptions import InvalidRequestError
from files_app.models import ApiKey, AuditAction, RetiredSecret
from files_app.services.index import audit
from files_app.services.index.callers import Caller
from files_app.services.tenants.keys import KEY_PREFIX, digest_of, forget_cached_keys, generate_key

MAX_OVERLAP: Final = timedelta(days=30)
AT_ONCE: Final = timedelta(0)
#: So much of a secret may be shown.
PREFIX_CHARACTERS: Final = 12


def rotate_key(row: ApiKey, *, caller: Caller, overlap: timedelta = AT_ONCE) -> tuple[ApiKey, str]:
    """Give a key a new secret and return it with the plaintext, which nothing can show again.

    overlap: how long the secret before it is accepted besides, at most MAX_OVERLAP. One that an earlier
    rotation left working stops then or now, whichever comes first. Raises InvalidRequestError.
    """
    if not AT_ONCE <= overlap <= MAX_OVERLAP:
        raise InvalidRequestError(f"An overlap has at most {MAX_OVERLAP.days} days.", param="overlap")
    plain = generate_key()
    with transaction.atomic():
        key = ApiKey.objects.select_for_update(of=("self",)).select_related("organization").get(pk=row.pk)
        if not key.is_usable:
            raise InvalidRequestError(f"{key} is revoked or has expired: make a new key instead.")
        now = timezone.now()
        key.retired_secrets.filter(valid_until__gt=now).update(valid_until=now)
        replaced = str(key)
        RetiredSecret.objects.create(
            key=key,
            digest=key.digest,
            prefix=key.prefix,
            last_four=key.last_four,
            retired_at=now,
            valid_until=now + overlap,
            last_used_at=key.last_used_at,
        )
        key.digest = digest_of(plain, settings.API_KEY_PEPPERS[0])
        key.prefix, key.last_four = plain[:PREFIX_CHARACTERS], plain[-4:]
        key.save(update_fields=["digest", "prefix", "last_four"])
        details = {"replaced": replaced, "old_valid_until": (now + overlap).isoformat() if overlap else ""}
        audit.record(caller, AuditAction.KEY_ROTATE, object_type="api_key", object_id=str(key), **details)
    forget_cached_keys()
    return key, plain


def end_overlap(row: ApiKey, *, caller: Caller) -> bool:
    """Refuse the secrets that rotations left working; other processes notice within five seconds.

    False when there was none.
    """
    now = timezone.now()
    with transaction.atomic():
        ended = row.retired_secrets.filter(valid_until__gt=now).update(valid_until=now)
        if ended:
            audit.record(caller, AuditAction.KEY_END_OVERLAP, object_type="api_key", object_id=str(row))
    forget_cached_keys()
    return bool(ended)


def working_secret(row: ApiKey) -> RetiredSecret | None:
    """Return the secret before the key's own while it is accepted."""
    if not row.is_usable:
        return None
    return next((secret for secret in row.retired_secrets.all() if secret.is_usable), None)


def audit_names(text: str) -> list[str]:
    """Return what the audit trail has called a key, before and after rotations, by the start of a secret.

    Empty for a text that is no such start.
    """
    start = text[text.find(KEY_PREFIX) :][:PREFIX_CHARACTERS]
    if not start.startswith(KEY_PREFIX) or len(start) < PREFIX_CHARACTERS:
        return []
    keys = ApiKey.objects.filter(pk__in=keys_starting(start)).prefetch_related("retired_secrets__key")
    return [str(each) for key in keys for each in (key, *key.retired_secrets.all())]


def keys_starting(start: str) -> list[int]:
    """Return the primary keys of the keys that have, or had, a secret with these first twelve characters."""
    start = start[:PREFIX_CHARACTERS]
    now_theirs = ApiKey.objects.filter(prefix=start).values_list("pk", flat=True)
    once_theirs = RetiredSecret.objects.filter(prefix=start).values_list("key", flat=True)
    return [*now_theirs, *once_theirs]
