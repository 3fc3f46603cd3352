"""Keeps one account's trouble from the others, in work that goes through all of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from files_app.models import ProviderAccount
from providers.exceptions import ProviderConfigurationError, ProviderError

log = structlog.get_logger(__name__)


@contextmanager
def on_its_own(work: str, account: ProviderAccount) -> Iterator[None]:
    """Log what goes wrong with one account instead of raising it. work: `sync`, `search` ..."""
    try:
        yield
    except (ProviderError, ProviderConfigurationError) as exc:
        log.warning(f"{work}_failed", account=account.name, error=str(exc))
    except Exception:  # one account's oddity must not keep the others waiting
        log.exception(f"{work}_failed_unexpectedly", account=account.name)
