"""What a first start creates, so that a gateway can be called as soon as it runs."""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction

from files_app.exceptions import InvalidKeyError, InvalidRequestError
from files_app.models import Organization, ProviderAccount
from files_app.services.accounts.local_trees import settle_trees
from files_app.services.accounts.saving import save_account
from files_app.services.accounts.sharing import place_all
from files_app.services.index.callers import system_caller
from files_app.services.tenants.keys import create_key, verify_key

ORGANIZATION_NAME = "default"
ACCOUNT_NAME = "local"
KEY_NAME = "first-start"
ADMIN_NAME = "admin"


@dataclass(frozen=True)
class FirstStart:
    """The credentials of the first start in plaintext; empty once they have been changed or revoked.

    admin_password_hash: what the database had for the password when it was last checked, for half a second;
        while it has the same, the password is as good as it was
    """

    api_key: str
    admin_password: str
    admin_password_hash: str = ""


def bootstrap() -> FirstStart:
    """Create the organization `default`, its account `local`, an API key and the user `admin`, where missing.

    Accounts of earlier versions are placed, those on disk in folders of their own. The credentials are kept
    in DATA_DIR/first-start.json, so that every start can show those that still work. Raises
    InvalidRequestError when BOOTSTRAP_API_KEY or BOOTSTRAP_ADMIN_PASSWORD could be guessed.
    """
    settle_trees()
    place_all()
    kept = _read()
    with transaction.atomic():
        api_key = _create_organization() or kept.api_key
        admin_password = _create_admin() or kept.admin_password
    admin_hash = _checked(admin_password, kept.admin_password_hash)
    current = FirstStart(
        api_key=api_key if _is_good(api_key) else "",
        admin_password=admin_password if admin_hash else "",
        admin_password_hash=admin_hash,
    )
    if current != kept:
        _write(current)
    return current


def _create_organization() -> str:
    """Create the first organization and return its key; do nothing when there is any organization."""
    if Organization.objects.exists():
        return ""
    organization = Organization.objects.create(name=ORGANIZATION_NAME)
    save_account(
        ProviderAccount(organization=organization, name=ACCOUNT_NAME, driver="local", is_default=True)
    )
    caller = system_caller(organization.pk)
    try:
        _, plain = create_key(
            organization=organization, name=KEY_NAME, caller=caller, key=settings.BOOTSTRAP_API_KEY or None
        )
    except InvalidRequestError as exc:
        raise _refusal("BOOTSTRAP_API_KEY", exc.message) from exc
    return plain


def _create_admin() -> str:
    """Create the first superuser and return the password; do nothing when there is any superuser."""
    users = get_user_model()._default_manager
    if users.filter(is_superuser=True).exists():
        return ""
    password = settings.BOOTSTRAP_ADMIN_PASSWORD or secrets.token_urlsafe(15)
    try:
        validate_password(password, user=get_user_model()(username=ADMIN_NAME))
    except ValidationError as exc:
        raise _refusal("BOOTSTRAP_ADMIN_PASSWORD", " ".join(exc.messages)) from exc
    users.create_superuser(username=ADMIN_NAME, password=password)
    return password


def _refusal(variable: str, problem: str) -> InvalidRequestError:
    return InvalidRequestError(
        f"{variable}: {problem} Unset it to have one made, or make one: openssl rand -hex 32", param=variable
    )


def _is_good(api_key: str) -> bool:
    try:
        verify_key(api_key)
    except InvalidKeyError:
        return False
    return True


def _checked(password: str, known_hash: str) -> str:
    """Return the admin's hash when the password opens the admin, else nothing."""
    user = get_user_model()._default_manager.filter(username=ADMIN_NAME, is_active=True).first()
    if user is None or not password:
        return ""
    if user.password == known_hash or user.check_password(password):
        return user.password
    return ""


def _path() -> Path:
    return Path(settings.DATA_DIR) / "first-start.json"


def _read() -> FirstStart:
    try:
        return FirstStart(**json.loads(_path().read_text(encoding="utf-8")))
    except FileNotFoundError:
        return FirstStart(api_key="", admin_password="")


def _write(credentials: FirstStart) -> None:
    draft = _path().with_suffix(".new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(asdict(credentials), file)
    draft.replace(_path())
