"""Credentials that are references: which there are, and what of them a process can read."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection

from files_app.models import ProviderAccount
from files_app.services.accounts import credentials as secrets
from files_app.services.index.transactions import in_batches
from providers.exceptions import ProviderConfigurationError

_DIGEST_CHARACTERS = 16


def references_in_use(names: Collection[str] | None = None) -> set[str]:
    """Return the references (`env:NAME`, `file:/path`) of enabled accounts.

    names: of these accounts alone, by their full names. Accounts that cannot be decrypted are left out.
    """
    accounts = ProviderAccount.objects.filter(is_enabled=True).exclude(credentials="")
    return {
        reference
        for batch in in_batches(accounts.select_related("organization"))
        for account in batch
        if names is None or account.full_name in names
        for reference in _references_of(account)
    }


def unreadable(references: Collection[str]) -> list[str]:
    """Return those of the references that this process cannot resolve."""
    return sorted(reference for reference in references if not _is_readable(reference))


def variables() -> list[str]:
    """Return what tells which variables this process has: digests of their names."""
    return sorted(map(_digest, os.environ))


def is_among(reference: str, digests: Collection[str]) -> bool:
    """Whether a process whose `variables` are these has the variable of a reference `env:NAME`."""
    return _digest(reference.removeprefix("env:")) in digests


def _references_of(account: ProviderAccount) -> list[str]:
    try:
        return list(filter(secrets.is_reference, secrets.unseal(account).values()))
    except ProviderConfigurationError:
        return []


def _is_readable(reference: str) -> bool:
    try:
        secrets.resolve(reference)
    except ProviderConfigurationError:
        return False
    return True


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode(errors="surrogateescape")).hexdigest()[:_DIGEST_CHARACTERS]
