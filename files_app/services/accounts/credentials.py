"""Provider credentials at rest: encrypted, bound to their account, resolved at use.

A value may be a reference instead of a secret: `env:NAME` or `file:/path`; it is stored as such and read
when the account is used.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.utils import timezone

from files_app.models import ProviderAccount
from providers.exceptions import ProviderConfigurationError

#: Of anything shorter, four characters would give too much away.
_MIN_HINTED_CHARACTERS = 20


@lru_cache(maxsize=4)
def _fernet(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(key) for key in keys])


def _cipher() -> MultiFernet:
    return _fernet(tuple(settings.FIELD_ENCRYPTION_KEYS))


@lru_cache(maxsize=1024)
def _decrypted(credentials: str, keys: tuple[str, ...]) -> bytes:
    """Return the JSON in a ciphertext. To decrypt it for each request would cost more than to find a file."""
    return _fernet(keys).decrypt(credentials.encode())


def seal(account: ProviderAccount, credentials: Mapping[str, str]) -> None:
    """Encrypt `credentials` into the account; the caller saves it."""
    plain = json.dumps({"bound_to": _binding(account), "credentials": dict(credentials)})
    account.credentials = _cipher().encrypt(plain.encode()).decode() if credentials else ""
    account.credentials_changed_at = timezone.now()


def unseal(account: ProviderAccount) -> dict[str, str]:
    """Return the stored credentials, references unresolved.

    Raises ProviderConfigurationError when no configured key fits, or when the ciphertext belongs to another
    account.
    """
    if not account.credentials:
        return {}
    try:
        plain = json.loads(_decrypted(account.credentials, tuple(settings.FIELD_ENCRYPTION_KEYS)))
    except InvalidToken:
        raise ProviderConfigurationError(
            f"The credentials of '{account.name}' cannot be decrypted: FIELD_ENCRYPTION_KEYS lacks their key."
        ) from None
    if plain.get("bound_to") != _binding(account):
        raise ProviderConfigurationError(f"The credentials of '{account.name}' belong to another account.")
    return dict(plain["credentials"])


def reseal(account: ProviderAccount) -> None:
    """Encrypt the credentials again with the first key; the caller saves the account."""
    if account.credentials:
        account.credentials = _cipher().rotate(account.credentials.encode()).decode()


def is_current(account: ProviderAccount) -> bool:
    """Whether the credentials are encrypted with the first key."""
    return not account.credentials or can_unseal(account.credentials, with_first=True)


def resolve(value: str) -> str:
    """Return the secret that `value` is or refers to. Raises ProviderConfigurationError."""
    kind, colon, where = value.partition(":")
    if not colon or kind not in {"env", "file"}:
        return value
    if kind == "env":
        found = os.environ.get(where)
        if found is None:
            raise ProviderConfigurationError(f"The environment variable {where} is not set.")
        return found
    try:
        return Path(where).read_text(encoding="utf-8").strip()
    except OSError as exc:
        raise ProviderConfigurationError(f"Cannot read the secret file {where}: {exc.strerror}.") from exc
    except ValueError:  # its name or its bytes; the error shows them
        raise ProviderConfigurationError(f"The secret file {where} is no text in UTF-8.") from None


def is_reference(value: str) -> bool:
    """Whether `value` names where a secret is instead of being one."""
    return value.startswith(("env:", "file:"))


def hint(value: str) -> str:
    """Return what may be shown of a stored credential: a reference as it is, of a secret its end."""
    if is_reference(value):
        return value
    return f"set, ends in …{value[-4:]}" if len(value) >= _MIN_HINTED_CHARACTERS else "set"


def seal_text(plain: str, binding: str) -> str:
    """Return a secret that belongs to no account, encrypted and bound to what `binding` names."""
    return _cipher().encrypt(json.dumps({"bound_to": binding, "text": plain}).encode()).decode()


def unseal_text(sealed: str, binding: str) -> str:
    """Return what `seal_text` was given. Raises ProviderConfigurationError as `unseal` does."""
    try:
        plain = json.loads(_cipher().decrypt(sealed.encode()))
    except InvalidToken:
        raise ProviderConfigurationError(
            f"The secret of '{binding}' cannot be decrypted: FIELD_ENCRYPTION_KEYS lacks its key."
        ) from None
    if plain.get("bound_to") != binding:
        raise ProviderConfigurationError(f"The secret of '{binding}' belongs to somebody else.")
    return str(plain["text"])


def reseal_text(sealed: str) -> str:
    """Return the same encrypted with the first key."""
    return _cipher().rotate(sealed.encode()).decode()


def can_unseal(sealed: str, *, with_first: bool = False) -> bool:
    """Whether a key of the list fits, or the first one."""
    cipher = Fernet(settings.FIELD_ENCRYPTION_KEYS[0]) if with_first else _cipher()
    try:
        cipher.decrypt(sealed.encode())
    except InvalidToken:
        return False
    return True


def _binding(account: ProviderAccount) -> str:
    return f"provideraccount:{account.uid}:credentials"
