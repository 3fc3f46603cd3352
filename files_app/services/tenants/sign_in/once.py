"""The way back in: a code that a person at the command line makes, good once and for ten minutes.

It asks for no password, no provider and no second factor: who may run commands holds the database anyway.
"""

from __future__ import annotations

from django.contrib.auth.models import User

from files_app.exceptions import InvalidRequestError, NotAllowedError
from files_app.models import AuditAction
from files_app.services.index import audit
from files_app.services.index.callers import Caller
from files_app.services.tenants.sign_in import tickets

_PURPOSE = "once"
CODE_SECONDS = 600
_GROUP = 4


def make_code(user: User, *, caller: Caller) -> str:
    """Return a code such as `k3f9-...` that signs the user in. Raises InvalidRequestError."""
    if not (user.is_active and user.is_staff):
        raise InvalidRequestError(
            f"'{user.username}' may not sign in: the user is not active, or no staff. "
            "See `manage.py sign_in list`."
        )
    ticket = tickets.issue(_PURPOSE, {"user": user.pk}, seconds=CODE_SECONDS)
    audit.record(caller, AuditAction.USER_SIGN_IN_CODE, object_type="user", object_id=user.username)
    return "-".join(ticket[start : start + _GROUP] for start in range(0, len(ticket), _GROUP))


def take_code(code: str) -> User:
    """Return the user whom the code signs in, which uses it up. Raises NotAllowedError."""
    given = tickets.redeem(_PURPOSE, "".join(code.lower().replace("-", "").split()))
    user = User.objects.filter(pk=given["user"], is_active=True, is_staff=True).first() if given else None
    if user is None:
        raise NotAllowedError("This code was used before, is older than ten minutes, or was never made here.")
    return user
