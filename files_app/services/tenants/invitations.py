"""Links with which a member of staff chooses a password: signed, for one use, for some days.

What a link says is in its fragment, which browsers send to no server: it stands in no log.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from django.core import signing
from django.db import transaction
from django.utils.crypto import constant_time_compare, salted_hmac

from files_app.exceptions import InvalidRequestError
from files_app.models import AuditAction, AuditEvent
from files_app.services.index import audit
from files_app.services.index.callers import Caller

LIFETIME: Final = timedelta(days=7)
_SALT: Final = "files_app.invitation"


def invite(user: User) -> str:
    """Make the user's password unusable and return what the link says; links made before open nothing."""
    user.set_unusable_password()  # another value each time, which the link is bound to
    user.save(update_fields=["password"])
    return signing.dumps([user.pk, _bound_to(user)], salt=_SALT)


def invited(token: str) -> User:
    """Return whom a link invites. Raises InvalidRequestError for one that is used, replaced or too old."""
    try:
        pk, bound_to = signing.loads(token, salt=_SALT, max_age=LIFETIME)
    except (signing.BadSignature, ValueError, TypeError):
        raise _refused() from None
    user = User.objects.filter(pk=pk, is_active=True, is_staff=True).first()
    if user is None or not constant_time_compare(bound_to, _bound_to(user)):
        raise _refused()
    return user


def accept(token: str, password: str, *, ip: str | None, request_id: str) -> User:
    """Set the password that an invited user chose. Raises InvalidRequestError; of two at once one wins."""
    user = invited(token)
    made = make_password(password)
    with transaction.atomic():
        if not User.objects.filter(pk=user.pk, password=user.password).update(password=made):
            raise _refused()
        name = user.get_username()
        caller = Caller(0, AuditEvent.Actor.USER, name, ip=ip, request_id=request_id)
        audit.record(caller, AuditAction.USER_ACCEPT, object_type="user", object_id=name)
    return user


def _bound_to(user: User) -> str:
    return salted_hmac(_SALT, user.password).hexdigest()[:32]


def _refused() -> InvalidRequestError:
    days = LIFETIME.days
    return InvalidRequestError(
        f"This link was used already, was replaced by a newer one, or is older than {days} days. "
        "Ask whoever sent it for a new one."
    )
