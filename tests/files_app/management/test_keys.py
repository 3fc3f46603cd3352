"""`manage.py keys`"""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from files_app.exceptions import InvalidKeyError
from files_app.models import ApiKey, AuditEvent
from files_app.services.tenants.keys import verify_key
from tests.files_app.cast import Tenant
from tests.files_app.management.shell import failing, good

CREATE = ("keys", "create", "--organization", "acme", "--name")


def test_a_key_is_created_and_shown_once(acme: Tenant) -> None:
    done = good(*CREATE, "ci", "--scope", "files:read", "--expires-in", "90d")
    verified = verify_key(done.out.strip())
    assert (verified.organization_name, verified.scopes) == ("acme", {"files:read"})
    assert verified.expires_at is not None
    assert timedelta(days=89) < verified.expires_at - timezone.now() < timedelta(days=91)
    assert done.out.strip() not in good("keys", "list", "--all", "--json").out


def test_a_script_gets_the_key_as_json(acme: Tenant) -> None:
    assert verify_key(good(*CREATE, "ci", "--json").json["key"]).name == "ci"


@pytest.mark.parametrize(
    ("name", "hint"), [("main", "has a key 'main' already"), ("a b", "name: Use 1 to 64"), ("", "name: ")]
)
@pytest.mark.parametrize("more", [[], ["--dry-run"]])
def test_a_name_that_cannot_be_is_refused(acme: Tenant, name: str, hint: str, more: list[str]) -> None:
    assert hint in failing(*CREATE, name, *more).err
    assert ApiKey.objects.count() == 1


def test_a_dry_run_creates_nothing(acme: Tenant) -> None:
    assert "would create the key ci of acme" in good(*CREATE, "ci", "--dry-run").out
    assert ApiKey.objects.count() == 1


def test_a_list_hides_revoked_keys_unless_asked(acme: Tenant, other: Tenant) -> None:
    good("keys", "revoke", "main", "--organization", "other", "--yes")
    assert [row["organization"] for row in good("keys", "list", "--json").json] == ["acme"]
    states = {row["organization"]: row["state"] for row in good("keys", "list", "--all", "--json").json}
    assert states == {"acme": "in use", "other": "revoked"}
    assert acme.key.digest not in good("keys", "list", "--json").out


def test_a_revoked_key_opens_nothing(acme: Tenant) -> None:
    good("keys", "revoke", "main", "--organization", "acme", "--yes")
    assert acme.api.get("/files").status == 401
    event = AuditEvent.objects.get(action="key.revoke")
    assert (event.actor_type, event.organization_id) == ("command", acme.organization.pk)


def test_a_key_is_found_by_its_first_characters(acme: Tenant, other: Tenant) -> None:
    done = failing("keys", "revoke", "main", "--yes")
    assert f"{acme.key.prefix} of acme" in done.err and f"{other.key.prefix} of other" in done.err
    good("keys", "revoke", other.key.prefix, "--yes")
    assert not ApiKey.objects.get(pk=acme.key.pk).revoked_at


def test_revoke_and_rotate_ask_first_and_can_be_tried(acme: Tenant) -> None:
    for verb in "revoke", "rotate":
        assert "--yes" in failing("keys", verb, "main", code=2).err
        assert "would" in good("keys", verb, "main", "--dry-run").out
    assert acme.api.get("/files").status == 200


def test_a_rotated_key_replaces_the_old_one(acme: Tenant) -> None:
    plain = good("keys", "rotate", "main", "--yes", "--json").json["key"]
    assert verify_key(plain).name == "main"
    with pytest.raises(InvalidKeyError):
        verify_key(acme.api.key)


def test_a_rotated_key_keeps_the_old_secret_for_a_while(acme: Tenant) -> None:
    first = acme.key.prefix
    good("keys", "rotate", "main", "--overlap", "24h", "--yes")
    assert verify_key(acme.api.key).name == "main"
    (listed,) = good("keys", "list", "--json").json
    assert listed["old_secret"]["prefix"] == first
    good("keys", "end-overlap", first, "--yes")  # the old first characters still name the key
    with pytest.raises(InvalidKeyError):
        verify_key(acme.api.key)
    assert "no old secret" in failing("keys", "end-overlap", "main", "--yes").err
    assert "30 days" in failing("keys", "rotate", "main", "--overlap", "31d", "--yes").err


def test_an_expired_key_is_not_rotated_into_another(acme: Tenant) -> None:
    ApiKey.objects.update(expires_at=timezone.now() - timedelta(days=1))
    assert "has expired" in failing("keys", "rotate", "main", "--yes").err


def test_an_unknown_key_is_answered_with_a_hint(acme: Tenant) -> None:
    assert "`manage.py keys list`" in failing("keys", "revoke", "nothing", "--yes").err


def test_rates_are_set_changed_and_kept_by_a_rotation(acme: Tenant) -> None:
    good(*CREATE, "ci", "--requests-per-minute", "5", "--uploads-at-once", "0")
    changed = good(
        "keys", "limit", "ci", "--requests-per-minute", "7", "--uploads-at-once", "default", "--json"
    )
    assert (changed.json["requests_per_minute"], changed.json["uploads_at_once"]) == (7, None)
    assert AuditEvent.objects.get(action="key.update").details == {
        "changed": ["requests_per_minute", "uploads_at_once"]
    }
    plain = good("keys", "rotate", "ci", "--yes").out.strip()
    assert [limit.most for limit in verify_key(plain).limits.requests] == [7]


def test_a_rate_is_a_number_and_a_dry_run_sets_none(acme: Tenant) -> None:
    assert (
        "neither a whole number nor 'default'"
        in failing("keys", "limit", "main", "--uploads-at-once", "few").err
    )
    assert "at least one rate" in failing("keys", "limit", "main").err
    assert "would set" in good("keys", "limit", "main", "--uploads-at-once", "3", "--dry-run").out
    assert ApiKey.objects.get(name="main").uploads_at_once is None
