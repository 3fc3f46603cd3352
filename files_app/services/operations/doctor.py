"""Doctor: checks what an operator would, and says what to fix. Changes nothing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path

from django.conf import settings
from django.core import checks
from django.db import DatabaseError, InterfaceError, connection
from django.utils import timezone

from files_app.models import ApiKey, CopyState, File, FileCopy, Organization, ProviderAccount
from files_app.services.accounts.rotation import check_keys
from files_app.services.index import usage
from files_app.services.index.transactions import DAMAGED_FIX, in_batches, says_damaged
from files_app.services.operations import (
    capacity,
    health,
    heartbeats,
    leftovers,
    silence,
    standing,
    tenancy,
    undelivered,
)
from files_app.services.operations.connection_test import check_connection
from files_app.services.operations.findings import SHOWN_NAMES, Finding, ok, problem, shortened, warning
from files_app.services.operations.heartbeats import LACK_FIX
from files_app.services.operations.overview import CRITICAL_PERCENT, WARNING_PERCENT, usage_of
from files_app.words import readable_bytes

Check = Callable[[], Iterator["Finding"]]

_LOW_SHARE = 0.05
_WAITING_LONG = timedelta(hours=1)


def examine(*, live: bool = True) -> Iterator[Finding]:
    """Yield all findings as they are made. live: also ask every enabled account's provider."""
    yield from _examined([*_QUICK_CHECKS, *_THOROUGH_CHECKS, lambda: _accounts(live=live)])


def glance() -> Iterator[Finding]:
    """Yield what can be found in a moment, however many files and accounts there are."""
    yield from _examined(_QUICK_CHECKS)


def parts() -> Iterator[Finding]:
    """Yield whether database, broker and worker are there, and whether background work goes on."""
    failures = health.failures()
    yield from _services(failures)
    if _is_readable(failures):
        for check in standing.CHECKS:
            yield from _guarded(check)


def _examined(checks: Iterable[Check]) -> Iterator[Finding]:
    yield from _settings()
    yield from _directories()
    failures = health.failures()
    yield from _services(failures)
    if _is_readable(failures):
        for check in checks:
            yield from _guarded(check)


def _is_readable(failures: Mapping[str, str]) -> bool:
    return not {"database", "migrations"} & failures.keys()


def _guarded(check: Check) -> Iterator[Finding]:
    try:
        yield from check()
    except (DatabaseError, InterfaceError) as exc:
        reason = str(exc).strip().partition("\n")[0]
        yield problem("database", f"a query failed: {reason}", "Look at the database's own log.")


# -- this host -----------------------------------------------------------------------------------------


def _settings() -> Iterator[Finding]:
    """Run Django's and our own system checks, those for a deployment where others can reach the gateway."""
    found = checks.run_checks(include_deployment_checks=not settings.IS_LOOPBACK, tags=_CHECKED_TAGS)
    heard = [message for message in found if not message.is_silenced()]
    for message in heard:
        make = problem if message.level >= checks.ERROR else warning
        yield make("settings", f"{message.msg} ({message.id})", message.hint or "")
    if not heard:
        yield ok("settings", "they agree with each other")


_CHECKED_TAGS = [checks.Tags.security, checks.Tags.models, checks.Tags.caches, checks.Tags.compatibility]


def _directories() -> Iterator[Finding]:
    for name in "DATA_DIR", "SPOOL_DIR":
        directory = Path(getattr(settings, name))
        space = shutil.disk_usage(directory)
        detail = f"{name} {directory} has {readable_bytes(space.free)} free"
        fix = f"Free space on that disk, or set {name} to a directory with more room."
        if not os.access(directory, os.W_OK | os.X_OK):
            yield problem("disk", f"{name} {directory} cannot be written to", "Change its owner or mode.")
        elif space.free < settings.MAX_FILE_BYTES:
            yield problem("disk", f"{detail}: less than one file may have", fix)
        elif space.free < _LOW_SHARE * space.total:
            yield warning("disk", f"{detail}: under {_LOW_SHARE:.0%}", fix)
        else:
            yield ok("disk", detail)
    yield from _secret_files()


def _secret_files() -> Iterator[Finding]:
    directory = Path(settings.DATA_DIR) / "secrets"
    open_ones = [path.name for path in sorted(directory.glob("*")) if path.stat().st_mode & 0o077]
    if open_ones:
        yield problem(
            "secrets",
            f"others on this host can read {', '.join(open_ones)} in {directory}",
            f"chmod 600 {directory}/*",
        )
    elif settings.GENERATED_SECRETS:
        names = ", ".join(settings.GENERATED_SECRETS)
        yield ok("secrets", f"{names}: generated, in {directory}, which belongs into every backup")
    else:
        yield ok("secrets", "all are supplied")


# -- database, broker, worker --------------------------------------------------------------------------

_SERVICE_FIXES = {
    "database": "Check DATABASE_URL, and that the database runs and can be reached from this host.",
    "migrations": "Start the gateway once, or run `manage.py bootstrap`.",
    "broker": "Check CELERY_BROKER_URL and that the broker runs. Nothing is lost meanwhile: what waits is "
    "sent later, and `manage.py deletions drain` does it without a broker.",
}


def _services(failures: dict[str, str]) -> Iterator[Finding]:
    for name, fix in _SERVICE_FIXES.items():
        if name not in failures:
            yield ok(
                name,
                connection.vendor
                if name == "database"
                else "up to date"
                if name == "migrations"
                else "answers",
            )
        elif name == "migrations" and "database" in failures:
            yield problem(name, "not known without the database", _SERVICE_FIXES["database"])
        else:
            reason = health.reason(name) or failures[name]
            yield problem(name, reason, DAMAGED_FIX if says_damaged(reason) else fix)


def _references() -> Iterator[Finding]:
    """Compare with what the running processes said: this shell may have other variables and files."""
    lacking = heartbeats.lacks()
    for lack in lacking:
        yield problem("credentials", f"{lack.process} cannot read {shortened(lack.references)}", LACK_FIX)
    if not lacking:
        yield ok("credentials", "no running process has said that it lacks one")


# -- what is in the database ---------------------------------------------------------------------------


def _encryption() -> Iterator[Finding]:
    fit = check_keys()
    if not (fit.unreadable or fit.outdated):
        yield ok("encryption", f"FIELD_ENCRYPTION_KEYS fit {fit.tried} sealed accounts")
    elif fit.outdated and not fit.unreadable:
        yield warning(
            "encryption",
            f"the credentials of {fit.outdated} accounts are encrypted with an older key",
            "Run `manage.py rotate_encryption_keys`, then take the older key off FIELD_ENCRYPTION_KEYS.",
        )
    elif fit.is_wrong_key:
        yield problem(
            "encryption",
            f"FIELD_ENCRYPTION_KEYS decrypt none of {fit.tried} accounts' credentials",
            "Add the key that was used before to FIELD_ENCRYPTION_KEYS, behind the first one.",
        )
    else:
        yield problem(
            "encryption",
            f"the credentials of {shortened(fit.unreadable)} cannot be decrypted",
            "Add the key that was used before to FIELD_ENCRYPTION_KEYS, or enter these credentials again.",
        )


def _organizations() -> Iterator[Finding]:
    active = Organization.objects.filter(is_active=True)
    if not active.exists():
        yield warning(
            "organizations", "there is none", "Run `manage.py bootstrap` or `manage.py apply FILE`."
        )
        return
    if not ApiKey.objects.filter(revoked_at=None, organization__is_active=True).exists():
        yield warning("keys", "no API key is in use", "Run `manage.py keys create`.")
    full = [row for batch in in_batches(active) for row in batch if usage_of(row).percent >= WARNING_PERCENT]
    for row in full[:SHOWN_NAMES]:
        use = usage_of(row)
        make = problem if use.percent >= CRITICAL_PERCENT else warning
        yield make(
            "quota",
            f"{row.name} uses {use.percent:.0f} % of {readable_bytes(row.quota_bytes)}",
            "Raise its quota in the admin, or let it delete files.",
        )
    if not full:
        yield ok("quota", f"every organization is below {WARNING_PERCENT} %")


def _drift() -> Iterator[Finding]:
    drifted = [drift.organization for drift in usage.recount_all(dry_run=True)]
    if drifted:
        yield problem(
            "usage",
            f"the counters of {shortened(drifted)} differ from the files",
            "Run `manage.py orgs recount`; a worker does so once a day.",
        )
    else:
        yield ok("usage", "counters and files agree")


def _deletes() -> Iterator[Finding]:
    dead = FileCopy.objects.filter(state=CopyState.DEAD).count()
    if dead:
        yield problem(
            "deletions",
            f"{dead} deletes were given up",
            "`manage.py deletions list --state dead` shows why; then `manage.py deletions retry --all`.",
        )
    late = FileCopy.objects.filter(
        state=CopyState.DELETING, state_changed_at__lt=timezone.now() - _WAITING_LONG
    ).count()
    if late:
        yield warning(
            "deletions",
            f"{late} deletes have been waiting for more than an hour",
            "`manage.py deletions list` shows why; `manage.py deletions drain --early` tries them now.",
        )
    unconfirmed = FileCopy.objects.filter(state=CopyState.UNCONFIRMED).count()
    if unconfirmed:
        yield warning(
            "deletions",
            f"{unconfirmed} uploads may have left a file behind, whose id is not known",
            "They are searched for by themselves for a day; `manage.py reconcile` shows what is left.",
        )
    if not (dead or late or unconfirmed):
        yield ok("deletions", "none is late or given up")


def _uploads() -> Iterator[Finding]:
    stuck = File.objects.stuck().count()
    if stuck:
        yield warning(
            "uploads",
            f"{stuck} uploads make no progress and hold quota",
            "The worker clears them within a minute: see that it runs.",
        )
    else:
        yield ok("uploads", "none is stuck")


_QUICK_CHECKS: tuple[Check, ...] = (
    *standing.CHECKS,
    _references,
    _encryption,
    _deletes,
    _uploads,
    undelivered.webhooks,
    silence.silent_accounts,
    tenancy.sharing,
    tenancy.disk_folders,
    leftovers.on_disk,
    capacity.capacity,
)
_THOROUGH_CHECKS: tuple[Check, ...] = (_organizations, _drift, tenancy.hosts)


# -- accounts ------------------------------------------------------------------------------------------


def _accounts(*, live: bool) -> Iterator[Finding]:
    enabled = ProviderAccount.objects.filter(is_enabled=True).select_related("organization")
    number = 0
    for batch in in_batches(enabled):
        for account in batch:
            number += 1
            yield from _account(account, live=live)
    if not number:
        yield warning("accounts", "no provider account is enabled", "Add one in the admin or with `apply`.")


def _account(account: ProviderAccount, *, live: bool) -> Iterator[Finding]:
    name = account.full_name
    steps = check_connection(account, is_remembered=False)
    for step in steps:
        if not step.ok:
            yield problem(
                "accounts",
                f"{name}: {step.name} failed: {step.detail}",
                f"Correct the account in the admin, then run `manage.py accounts test {name}`.",
            )
            break
        if not live:
            yield ok("accounts", f"{name}: {step.detail}")
            break
    else:
        yield ok("accounts", f"{name}: {step.detail}")
    yield from _sync_state(account, name)


def _sync_state(account: ProviderAccount, name: str) -> Iterator[Finding]:
    if account.last_sync_error:
        yield warning(
            "sync",
            f"{name}: the last sync failed: {account.last_sync_error}",
            f"Run `manage.py accounts sync {name}`.",
        )
