"""`manage.py retention list|preview`, and rules in the file of `apply`."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import time_machine
from django.utils import timezone

from files_app.models import File, RetentionRule
from tests.files_app.cast import Tenant
from tests.files_app.management.shell import failing, good

RULES = """
organizations:
  - name: acme
    retention:
      - {longest_life: 90d, failed_after: 30d, keep_audit_days: 400}
      - {purpose: batch, default_expiry: 7d}
      - {account: local, longest_life: 2w}
"""


def apply(tmp_path: Path, text: str, *flags: str) -> str:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    return good("apply", str(path), *flags).out


def test_rules_are_applied_and_listed(acme: Tenant, tmp_path: Path) -> None:
    out = apply(tmp_path, RULES)
    assert "created retention rule acme batch: default_expiry_seconds" in out
    assert RetentionRule.objects.count() == 3
    assert "retention rule" not in apply(tmp_path, RULES)
    shorter = "organizations: [{name: acme, retention: [{longest_life: 30d}]}]"
    assert "changed retention rule acme: longest_life_seconds" in apply(tmp_path, shorter)
    assert RetentionRule.objects.count() == 3
    assert "removed retention rule acme batch" in apply(tmp_path, shorter, "--prune")
    assert RetentionRule.objects.filter(account=acme.accounts["local"]).count() == 1  # its entry lists it
    acme.organization.retention_rules.exclude(account=None).delete()
    (row,) = good("retention", "list", "--json").json
    assert (row["organization"], row["longest_life_seconds"]) == ("acme", 30 * 86_400)
    assert (row["failed_after_seconds"], row["keep_audit_days"]) == (
        30 * 86_400,
        400,
    )  # not mentioned: as it was
    assert "30d" in good("retention", "list", "--organization", "acme").out


def test_what_makes_no_sense_is_refused_with_its_place(acme: Tenant, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    for entry, message in [
        ("{longest_life: 90}", "retention[0].longest_life: must be text"),
        ("{longest_life: soon}", "retention[0].longest_life: must be a time such as 12h, 90d or 8w"),
        ("{failed_after: 1h}", "retention[0].failed_after"),
        ("{account: nowhere}", "retention[0].account: there is no provider account 'nowhere'"),
        ("{account: local, keep_audit_days: 3}", "retention[0].keep_audit_days"),
        ("{purpose: batch, keep_audit_days: 3}", "retention[0].keep_audit_days: is said for a whole"),
        ("{longest_life: 90d}, {longest_life: 80d}", "retention[1]: there is a rule for this purpose"),
    ]:
        path.write_text(f"organizations: [{{name: acme, retention: [{entry}]}}]")
        assert message in failing("apply", str(path)).err
    assert RetentionRule.objects.count() == 0


def test_what_a_rule_would_remove_is_shown_before_there_is_one(acme: Tenant, stored: str) -> None:
    assert "There is no rule" in good("retention", "list").err
    assert "Nothing would go" in good("retention", "preview").err
    asked = ("retention", "preview", "--organization", "acme", "--longest-life", "90d")
    with time_machine.travel(timezone.now() + timedelta(days=91), tick=False):
        (going,) = good(*asked, "--json").json
        assert (going["value"], going["files"], going["held"]) == ("longest_life_seconds", 1, 0)
        assert "lives at most 90d" in good(*asked).out
        assert "Nothing would go" in good(*asked, "--purpose", "batch").err
    assert File.objects.get().state == "available"
    assert "for which organization" in failing("retention", "preview", "--longest-life", "1d", code=2).err
