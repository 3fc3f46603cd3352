"""Retention rules on the pages of organizations and accounts, and what they would remove."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.test import Client
from django.urls import reverse
from django.utils import timezone

from files_app.models import AuditEvent, File, RetentionRule
from tests.files_app.admin.conftest import SignIn, World, body_of
from tests.files_app.admin.test_security_table import sent_back

DAY = 86_400


def form(client: Client, address: str, **rule: Any) -> dict[str, Any]:
    """Return what a browser sends of the page, with one more rule."""
    page = client.get(address)
    number = page.context["inline_admin_formsets"][0].formset.initial_form_count()
    return sent_back(page) | {f"retention_rules-{number}-{name}": value for name, value in rule.items()}


def test_an_organizations_rule_is_tried_and_then_saved(own: World, sign_in: SignIn) -> None:
    client = sign_in("Owner", sees_all=True)
    address = reverse("admin:files_app_organization_change", args=[own.organization.pk])
    File.objects.filter(pk=own.file.pk).update(
        created_at=timezone.now() - timedelta(days=9), indexed_at=timezone.now() - timedelta(days=9)
    )
    data = form(client, address, purpose="user_data", longest_life_seconds="1w")
    shown = client.post(reverse("admin:files_app_organization_retention", args=[own.organization.pk]), data)
    ((going, time),) = shown.context["going"]
    assert (going.files, going.bytes, time) == (1, own.file.bytes, "7d")
    assert RetentionRule.objects.count() == 0
    assert client.post(address, data).status_code == 302
    rule = RetentionRule.objects.get()
    assert (rule.organization, rule.purpose, rule.longest_life_seconds) == (
        own.organization,
        "user_data",
        7 * DAY,
    )
    assert "retention rule" in AuditEvent.objects.get(action="organization.update").details["changed"]
    again = form(client, address, purpose="user_data", longest_life_seconds="2w")
    assert b"a rule for this purpose already" in body_of(client.post(address, again))


def test_an_accounts_rule_is_its_owners(own: World, foreign: World, sign_in: SignIn) -> None:
    client = sign_in("Owner", sees_all=True)
    address = reverse("admin:files_app_provideraccount_change", args=[own.account.pk])
    assert client.post(address, form(client, address, default_expiry_seconds="36h")).status_code == 302
    rule = RetentionRule.objects.get()
    assert (rule.organization, rule.account, rule.default_expiry_seconds) == (
        own.organization,
        own.account,
        36 * 3_600,
    )


def test_another_organizations_account_is_refused(own: World, foreign: World, sign_in: SignIn) -> None:
    client = sign_in("Owner", sees_all=True)
    address = reverse("admin:files_app_organization_change", args=[own.organization.pk])
    data = form(client, address, account=foreign.account.pk, longest_life_seconds="90d")
    assert client.post(address, data).status_code == 200
    assert RetentionRule.objects.count() == 0


def test_staff_of_one_organization_sees_rules_and_changes_none(own: World, sign_in: SignIn) -> None:
    rule = RetentionRule.objects.create(organization=own.organization, account=own.account, purpose="batch")
    client = sign_in("Owner", own.organization)
    address = reverse("admin:files_app_provideraccount_change", args=[own.account.pk])
    assert b"batch" in body_of(client.get(address))
    data = form(client, address) | {
        "retention_rules-TOTAL_FORMS": "1",
        "retention_rules-INITIAL_FORMS": "1",
        "retention_rules-0-id": rule.pk,
        "retention_rules-0-longest_life_seconds": "1h",
    }
    client.post(address, data)
    rule.refresh_from_db()
    assert rule.longest_life_seconds is None
