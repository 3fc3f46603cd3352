"""A gateway that looks lived in: made-up organizations with accounts, files, failures and a month of events.

Everything belongs to organizations that are marked as the demo's, which is how it is found again and taken
away. Its files on disk are stored like any other and open; its other accounts are switched off and lead to
names under `.invalid`, which nobody can ever have.
"""

from __future__ import annotations

import random
import shutil
from dataclasses import dataclass

from django.db import transaction
from django.utils import timezone

from files_app.exceptions import InvalidRequestError
from files_app.models import (
    AuditEvent,
    DailyUsage,
    File,
    HeldFile,
    LegalHold,
    Organization,
    ProviderAccount,
)
from files_app.services.accounts.drivers import driver_for
from files_app.services.accounts.saving import save_account
from files_app.services.accounts.selection import forget_recent_accounts
from files_app.services.index.callers import Caller
from files_app.services.index.usage import actual_usage
from files_app.services.operations.demo import history
from files_app.services.operations.demo.bills import write_storage
from files_app.services.operations.demo.world import ORGANIZATIONS, DemoOrganization
from files_app.services.tenants.bootstrap import ORGANIZATION_NAME
from files_app.services.tenants.keys import create_key
from providers.local import LocalDriver

_SEED = 7
#: So many files somebody has tried the gateway with; more are somebody's.
_TRIED_FILES = 20


@dataclass(frozen=True, slots=True)
class Demo:
    """What there is of the demo."""

    organizations: int
    files: int
    events: int


def build(*, beside_real_data: bool = False) -> Demo:
    """Make the demo where it is missing, and return what there is. An unfinished one is made anew.

    Raises InvalidRequestError where the gateway holds real data and `beside_real_data` does not allow it, or
    where an organization of the demo's has its name from somebody else.
    """
    made = Organization.objects.filter(is_demo=True)
    if made.filter(is_active=True).count() < len(ORGANIZATIONS):
        remove()
        _refuse(beside_real_data=beside_real_data)
        dice = random.Random(_SEED)  # noqa: S311 - the same demo every time
        for plan in ORGANIZATIONS:
            _build(plan, dice)
        write_storage(list(made), days=history.DAYS)
        made.update(is_active=True)
    return _found()


def remove() -> Demo:
    """Take the demo away, stored bytes first, and return what there was of it.

    Raises InvalidRequestError while somebody's legal hold is on it.
    """
    found = _found()
    holds = LegalHold.objects.filter(organization__is_demo=True)
    if hold := holds.filter(lifted_at=None).select_related("organization").first():
        raise InvalidRequestError(
            f"Hold {hold.pk} keeps files of {hold.organization}: `manage.py files release {hold.pk}` first."
        )
    for organization in Organization.objects.filter(is_demo=True):
        Organization.objects.filter(pk=organization.pk).update(is_active=False)  # its keys open nothing more
        for account in ProviderAccount.objects.filter(organization=organization, driver="local"):
            _remove_bytes(account)
        with transaction.atomic():
            AuditEvent.objects.forget_demo(organization)
            DailyUsage.objects.filter(organization=organization).delete()
            HeldFile.objects.filter(hold__in=holds).delete()  # what a hold that was lifted had yet to let go
            holds.filter(organization=organization).delete()
            File.objects.for_organization(organization).delete()
            organization.delete()
    forget_recent_accounts()
    return found


def _found() -> Demo:
    made = Organization.objects.filter(is_demo=True)
    return Demo(
        made.count(),
        File.objects.filter(organization__in=made).count(),
        AuditEvent.objects.filter(organization__in=made).count(),
    )


def _refuse(*, beside_real_data: bool) -> None:
    names = [plan.name for plan in ORGANIZATIONS]
    if taken := Organization.objects.filter(name__in=names).values_list("name", flat=True).first():
        raise InvalidRequestError(
            f"There is an organization '{taken}' already that is not the demo's: rename it first."
        )
    is_real = (
        Organization.objects.exclude(name=ORGANIZATION_NAME).exists()
        or ProviderAccount.objects.exclude(driver="local").exists()
        or File.objects.count() > _TRIED_FILES
    )
    if is_real and not beside_real_data:
        raise InvalidRequestError(
            "This gateway holds data of its own: the demo is for an empty one. Start another with its own "
            "DATA_DIR, or say --beside-real-data: the demo is marked, and --remove takes nothing else."
        )


def _build(plan: DemoOrganization, dice: random.Random) -> None:
    organization = Organization.objects.create(
        name=plan.name, quota_bytes=plan.quota_bytes, is_demo=True, is_active=False
    )
    accounts = []
    for made in plan.accounts:
        account = ProviderAccount(
            organization=organization,
            name=made.name,
            driver=made.driver,
            options=made.options,
            is_default=made.driver == "local",
            is_enabled=made.driver == "local",
            last_synced_at=timezone.now(),
        )
        save_account(account, made.credentials)
        accounts.append(account)
    caller = Caller(organization.pk, AuditEvent.Actor.USER, "admin")
    keys = [create_key(organization=organization, name=name, caller=caller)[0] for name in plan.keys]
    history.fill(plan, organization, accounts, keys, dice)
    Organization.objects.filter(pk=organization.pk).update(**actual_usage(organization))


def _remove_bytes(account: ProviderAccount) -> None:
    """Remove the folder that the account on disk has for itself."""
    driver = driver_for(account)
    if isinstance(driver, LocalDriver) and account.disk_segment and driver.root.exists():
        shutil.rmtree(driver.root)
