"""Webhooks in the admin: the secret is shown once, and owners alone do what matters."""

from __future__ import annotations

from django.urls import reverse

from files_app.models import AuditEvent, WebhookEndpoint
from files_app.services.webhooks import signing
from tests.files_app.admin.conftest import SignIn, World, body_of

URL = "https://1.1.1.1/hooks/receivers-own-secret"


def test_an_owner_makes_rotates_and_removes_one(own: World, sign_in: SignIn) -> None:
    client = sign_in("Owner", own.organization)
    data = {"organization": own.organization.pk, "name": "billing", "url": URL, "kinds": ["file.created"]}
    made = client.post(reverse("admin:files_app_webhookendpoint_add"), data)
    row = WebhookEndpoint.objects.get(name="billing")
    secret = signing.unseal(row)[0].text
    assert secret.encode() in body_of(made)
    assert "no-store" in made.headers["Cache-Control"]
    page = reverse("admin:files_app_webhookendpoint_change", args=[row.pk])
    assert secret.encode() not in body_of(client.get(page))
    rotated = client.post(page, {"overlap": "86400"})
    row.refresh_from_db()
    newest, old = signing.unseal(row)
    assert old.text == secret
    assert newest.text.encode() in body_of(rotated)
    client.post(page, {"switch": "off"})
    client.post(page, {"save": "1", "url": "http://127.0.0.1/", "kinds": ["file.lost"]})
    row.refresh_from_db()
    assert (row.is_enabled, row.url, row.kinds) == (False, URL, ["file.created"])
    client.post(reverse("admin:files_app_webhookendpoint_delete", args=[row.pk]), {"post": "yes"})
    actions = AuditEvent.objects.filter(object_id="billing").order_by("pk")
    verbs = list(actions.values_list("action", flat=True))
    assert verbs == ["webhook.create", "webhook.rotate", "webhook.disable", "webhook.delete"]
    assert not any("receivers-own" in str(each.details) for each in actions)


def test_who_may_not_change_one_sees_its_host_alone(own: World, sign_in: SignIn) -> None:
    WebhookEndpoint.objects.filter(pk=own.webhook.pk).update(url=URL)
    client = sign_in("Operator", own.organization)
    page = reverse("admin:files_app_webhookendpoint_change", args=[own.webhook.pk])
    shown = body_of(client.get(page))
    assert b"https://1.1.1.1" in shown
    assert b"receivers-own-secret" not in shown
    before = WebhookEndpoint.objects.get(pk=own.webhook.pk).secrets
    for deed in ({"overlap": "0"}, {"switch": "off"}, {"test": "1"}):
        client.post(page, deed)
    row = WebhookEndpoint.objects.get(pk=own.webhook.pk)
    assert (row.secrets, row.is_enabled, row.deliveries.count()) == (before, True, 1)
