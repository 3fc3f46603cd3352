"""`manage.py webhooks`, endpoints in the file of `apply`, and their secrets under a new encryption key."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from pytest_django import Settings
from standardwebhooks import Webhook

from files_app.models import WebhookDelivery, WebhookEndpoint
from files_app.services.webhooks import queue, signing
from tests.files_app.cast import Tenant
from tests.files_app.management.shell import failing, good
from tests.files_app.receiver import Receiver
from tests.files_app.rows import force
from tests.files_app.webhooks import deliver_all, private, receiver

__all__ = ["private", "receiver"]

OF_ACME = ("--organization", "acme")


@pytest.fixture
def secret(acme: Tenant, receiver: Receiver, private: None) -> str:
    """The secret of the endpoint `billing`, as the command shows it."""
    done = good("webhooks", "create", *OF_ACME, "--name", "billing", "--url", receiver.url)
    assert "only time" in done.err
    return done.out.strip()


def test_from_the_first_endpoint_to_the_last(acme: Tenant, receiver: Receiver, secret: str) -> None:
    good("webhooks", "test", "billing", *OF_ACME)
    [tested] = receiver.received
    Webhook(secret).verify(tested.body, tested.headers)
    rotated = good("webhooks", "rotate", "billing", *OF_ACME, "--json").json
    assert rotated["overlap_ends_at"]
    good("webhooks", "change", "billing", *OF_ACME, "--event", "file.created")
    acme.api.delete(f"/files/{acme.api.create()['id']}")
    queue.deliver_due()
    assert receiver.kinds == ["webhook.test", "file.created"]
    for known in secret, rotated["secret"]:
        Webhook(known).verify(receiver.received[-1].body, receiver.received[-1].headers)
    [sent, _] = good("webhooks", "deliveries", *OF_ACME, "--json").json
    assert (sent["event"], sent["state"], sent["answer"]) == ("file.created", "delivered", 204)
    good("webhooks", "resend", sent["message"], *OF_ACME)
    queue.deliver_due()
    assert receiver.kinds[-2:] == ["file.created"] * 2
    good("webhooks", "disable", "billing", *OF_ACME)
    assert good("webhooks", "list", "--json").json[0]["state"] == "off"
    good("webhooks", "enable", "billing", *OF_ACME)
    assert "--yes" in failing("webhooks", "delete", "billing", *OF_ACME, code=2).err
    good("webhooks", "delete", "billing", *OF_ACME, "--yes")
    assert not WebhookDelivery.objects.exists()


def test_all_that_was_given_up_is_sent_again(acme: Tenant, receiver: Receiver, secret: str) -> None:
    good("webhooks", "create", *OF_ACME, "--name", "second", "--url", receiver.url)
    acme.api.create()
    receiver.status = 500
    failing("webhooks", "test", "billing", *OF_ACME)  # dead, and not meant
    force(WebhookDelivery.objects.all(), state="dead")
    receiver.status, sent = 200, len(receiver.received)
    again = good("webhooks", "resend", "--all", *OF_ACME, "--endpoint", "billing")
    assert "1 sent again" in again.err
    assert "1 sent again" in good("webhooks", "resend", "--all", *OF_ACME).err
    queue.deliver_due()
    assert receiver.kinds[sent:] == ["file.created"] * 2
    assert "or --all" in failing("webhooks", "resend", *OF_ACME, code=2).err
    assert "or --all" in failing("webhooks", "resend", "msg_x", "--all", *OF_ACME, code=2).err


def test_what_cannot_be_says_why(acme: Tenant, receiver: Receiver, secret: str) -> None:
    receiver.status = 500
    assert "answered 500" in failing("webhooks", "test", "billing", *OF_ACME).err
    assert "There are: billing" in failing("webhooks", "rotate", "x", *OF_ACME).err
    assert (
        "already" in failing("webhooks", "create", *OF_ACME, "--name", "billing", "--url", receiver.url).err
    )
    assert "whole URL" in failing("webhooks", "change", "billing", *OF_ACME, "--url", "x").err
    assert "what to change" in failing("webhooks", "change", "billing", *OF_ACME, code=2).err
    assert "no message" in failing("webhooks", "resend", "msg_x", *OF_ACME).err


def test_endpoints_are_applied(
    acme: Tenant, receiver: Receiver, private: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def apply(entry: str, *flags: str, code: int = 0) -> str:
        path = tmp_path / "config.yaml"
        path.write_text(f"organizations: [{{name: acme, webhooks: [{entry}]}}]")
        done = good("apply", str(path), *flags) if code == 0 else failing("apply", str(path), *flags)
        return done.out + done.err

    known = signing.new_secret()
    monkeypatch.setenv("HOOKS", known)
    entry = f"{{name: hooks, url: '{receiver.url}', events: [file.created], secret: 'env:HOOKS'}}"
    assert "created webhook acme/hooks" in apply(entry)
    assert "webhook" not in apply(entry)
    acme.api.create()
    deliver_all()
    Webhook(known).verify(receiver.received[0].body, receiver.received[0].headers)
    monkeypatch.setenv("HOOKS", signing.new_secret())
    assert "changed webhook acme/hooks: secret" in apply(entry)
    assert "shown only now: whsec_" in apply(f"{{name: second, url: '{receiver.url}'}}")
    assert "removed webhook acme/second" in apply(entry, "--prune")
    assert "webhooks[0].events" in apply("{name: x, url: 'https://1.1.1.1', events: [no]}", code=1)
    assert "webhooks[0].url" in apply("{name: x, url: words}", code=1)
    assert "webhooks[0].secret" in apply(f"{{name: x, url: '{receiver.url}', secret: short}}", code=1)
    assert WebhookEndpoint.objects.count() == 1


def test_secrets_are_encrypted_with_a_new_key(
    acme: Tenant, receiver: Receiver, secret: str, settings: Settings
) -> None:
    old = settings.FIELD_ENCRYPTION_KEYS
    settings.FIELD_ENCRYPTION_KEYS = [Fernet.generate_key().decode(), *old]
    assert good("rotate_encryption_keys", "--json").json["webhooks"] == {"rotated": 1, "unreadable": []}
    settings.FIELD_ENCRYPTION_KEYS = settings.FIELD_ENCRYPTION_KEYS[:1]
    assert signing.unseal(WebhookEndpoint.objects.get())[0].text == secret
    settings.FIELD_ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    assert "acme/billing" in failing("rotate_encryption_keys").err
