"""Deliveries: signed, at least once, bounded, and never to where an endpoint must not lead."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.utils import timezone
from pytest_django import Settings
from standardwebhooks import Webhook, WebhookVerificationError

from files_app.exceptions import InvalidRequestError
from files_app.models import AuditEvent, EventKind, WebhookDelivery, WebhookEndpoint
from files_app.services.index import events
from files_app.services.index.callers import system_caller
from files_app.services.webhooks import delivery, endpoints, queue
from files_app.services.webhooks.endpoints import create_endpoint
from providers.transports.proxies import Proxies
from tests.files_app.cast import Tenant
from tests.files_app.receiver import Receiver
from tests.files_app.webhooks import deliver_all, endpoint_of


@pytest.fixture
def row(acme: Tenant, endpoint: WebhookEndpoint) -> WebhookDelivery:
    """A webhook that waits."""
    acme.api.create()
    return WebhookDelivery.objects.get()


def again(row: WebhookDelivery) -> WebhookDelivery:
    return WebhookDelivery.objects.select_related("endpoint").get(pk=row.pk)


def test_a_receiver_verifies_what_arrives(row: WebhookDelivery, receiver: Receiver, secret: str) -> None:
    assert queue.deliver_due() == 1
    [received] = receiver.received
    assert Webhook(secret).verify(received.body, received.headers) == received.message
    assert received.headers["webhook-id"] == row.message_id
    assert (again(row).state, again(row).status_code, again(row).last_error) == ("delivered", 204, "")
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(received.body + b" ", received.headers)


def test_during_a_rotation_both_secrets_verify(
    row: WebhookDelivery, receiver: Receiver, endpoint: WebhookEndpoint, secret: str
) -> None:
    caller = system_caller()
    second = endpoints.rotate_secret(endpoint, caller=caller)
    queue.deliver_due()
    [received] = receiver.received
    for known in secret, second:
        Webhook(known).verify(received.body, received.headers)
    third = endpoints.rotate_secret(endpoint, caller=caller, overlap=timedelta(0))
    endpoints.resend(again(row), caller=caller)
    queue.deliver_due()
    sent_again = receiver.received[-1]
    assert sent_again.headers["webhook-id"] == row.message_id
    Webhook(third).verify(sent_again.body, sent_again.headers)
    for retired in secret, second:
        with pytest.raises(WebhookVerificationError):
            Webhook(retired).verify(sent_again.body, sent_again.headers)


@pytest.mark.parametrize("status", [301, 400, 404, 500])
def test_a_refusal_is_tried_again_later(status: int, row: WebhookDelivery, receiver: Receiver) -> None:
    receiver.status, receiver.headers = status, {"location": receiver.url + "/elsewhere"}
    deliver_all()
    assert [each.path for each in receiver.received] == ["/hooks"]
    failed = again(row)
    assert (failed.state, failed.attempts, failed.status_code) == ("pending", 1, status)
    assert failed.next_attempt_at > timezone.now()
    receiver.status = 200
    deliver_all()
    assert (again(row).state, again(row).attempts) == ("delivered", 2)
    assert receiver.received[0].headers["webhook-id"] == receiver.received[1].headers["webhook-id"]


def test_after_a_day_it_is_dead(row: WebhookDelivery, receiver: Receiver) -> None:
    receiver.status = 500
    WebhookDelivery.objects.update(give_up_at=timezone.now() - timedelta(seconds=1))
    deliver_all()
    assert again(row).state == "dead"


def test_what_had_no_turn_in_a_day_is_dead_too(row: WebhookDelivery) -> None:
    WebhookDelivery.objects.update(give_up_at=timezone.now() - timedelta(seconds=1))
    delivery.prune_deliveries()
    assert again(row).state == "dead"


def test_the_log_is_pruned(row: WebhookDelivery) -> None:
    long_ago = timezone.now() - delivery.KEPT - timedelta(hours=1)
    WebhookDelivery.objects.update(created_at=long_ago)
    assert delivery.prune_deliveries() == 0  # it still waits
    deliver_all()
    assert delivery.prune_deliveries() == 1


def test_what_no_endpoint_takes_does_not_grow_without_bound(
    acme: Tenant,
    other: Tenant,
    endpoint: WebhookEndpoint,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(delivery, "MOST_KEPT", 3)
    theirs = endpoint_of(other, receiver, "theirs")
    told = [events.write([endpoint.pk], EventKind.FILE_LOST, {"n": number})[0] for number in range(5)]
    events.write([theirs.pk], EventKind.FILE_LOST, {})
    assert delivery._claim(told[1].pk) is not None  # it is just being sent
    delivery.prune_deliveries()
    left = {row.pk: row.state for row in WebhookDelivery.objects.filter(endpoint=endpoint)}
    assert left == {row.pk: "pending" for row in told[1:]}
    assert theirs.deliveries.get().state == "pending"


def test_410_switches_the_endpoint_off(acme: Tenant, row: WebhookDelivery, receiver: Receiver) -> None:
    receiver.status = 410
    deliver_all()
    gone = again(row)
    assert (gone.state, gone.endpoint.is_enabled) == ("dead", False)
    assert "410" in gone.endpoint.disabled_reason
    assert AuditEvent.objects.filter(action="webhook.disable").get().actor == "gateway"
    acme.api.create()
    assert WebhookDelivery.objects.count() == 1


@pytest.mark.parametrize("way", ["hangs", "trickles"])
def test_an_endpoint_that_does_not_answer_is_cut_off_and_left_alone(
    way: str, acme: Tenant, row: WebhookDelivery, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "ATTEMPT_SECONDS", 0.3)
    receiver.trickle = way == "trickles"
    receiver.hang = threading.Event() if way == "hangs" else None
    acme.api.create()
    assert queue.deliver_due() == 1
    assert len(receiver.received) == 1  # the second would fail as well: it is not tried now
    cut = again(row)
    assert (cut.state, cut.endpoint.failures) == ("pending", 1)
    assert cut.endpoint.paused_until > timezone.now()
    assert WebhookDelivery.objects.filter(attempts=0).count() == 1


def test_endpoints_are_looked_at_that_have_something_due(
    acme: Tenant, other: Tenant, row: WebhookDelivery, receiver: Receiver
) -> None:
    def looked_at() -> list[str]:
        return [each.name for each in WebhookEndpoint.objects.with_due()]

    endpoint_of(other, receiver, "idle")
    assert looked_at() == ["hooks"]
    rows = WebhookEndpoint.objects.filter(pk=row.endpoint_id)
    rows.update(paused_until=timezone.now() + timedelta(minutes=1))
    assert looked_at() == []
    rows.update(paused_until=timezone.now() - timedelta(minutes=1))
    assert looked_at() == ["hooks"]
    rows.update(is_enabled=False)
    assert looked_at() == []
    rows.update(is_enabled=True)
    events.write([row.endpoint_id], EventKind.FILE_LOST, {})
    WebhookDelivery.objects.filter(pk=row.pk).update(next_attempt_at=timezone.now() + timedelta(minutes=1))
    assert looked_at() == ["hooks"]
    WebhookDelivery.objects.update(next_attempt_at=timezone.now() + timedelta(minutes=1))
    assert looked_at() == []


def test_a_resend_does_not_wait_until_an_endpoint_is_tried_again(
    row: WebhookDelivery, receiver: Receiver
) -> None:
    WebhookEndpoint.objects.update(paused_until=timezone.now() + timedelta(minutes=5), failures=9)
    assert queue.deliver_due() == 0
    endpoints.resend(again(row), caller=system_caller())
    queue.deliver_due()
    assert again(row).state == "delivered"


def test_of_two_that_deliver_one_does(row: WebhookDelivery, receiver: Receiver) -> None:
    claimed = delivery._claim(row.pk)
    assert claimed is not None
    assert delivery.deliver(row.pk) is None
    assert receiver.received == []


def test_a_result_of_a_lost_lease_counts_for_nothing(row: WebhookDelivery, receiver: Receiver) -> None:
    claimed = delivery._claim(row.pk)
    assert claimed is not None
    WebhookDelivery.objects.update(lease_token="another")
    assert delivery._delivered(claimed, 200) is None
    assert again(row).state == "pending"


#: Ways to write an address of this host, or of a cloud's metadata.
INSIDE = [
    "https://127.0.0.1/",
    "https://169.254.169.254/latest",
    "https://[::ffff:127.0.0.1]/",
    "https://[::1]/",
    "https://[64:ff9b::7f00:1]/",
    "https://[fe80::1%25eth0]/",
    "https://localhost/",
    "https://LOCALHOST./",
    "https://127.1/",
    "https://2130706433/",
    "https://0x7f.0.0.1/",
    "https://0177.0.0.1/",
    "https://0/",
    "https://%31%32%37.0.0.1/",
    "https://127.0.0.1\\.example.com/",
    "https://127.0.0.1:443\\@example.com/",
]


@pytest.mark.parametrize(
    "url",
    [
        *INSIDE,
        "http://example.com/",  # in clear
        "ftp://example.com/",
        "https://user:word@example.com/",
        "https:///nowhere",
        "https://example.com/\r\nx: y",
        "words",
    ],
)
def test_an_owner_cannot_lead_the_gateway_inside(acme: Tenant, url: str, private: None) -> None:
    with pytest.raises(InvalidRequestError):
        create_endpoint(acme.organization, name="in", url=url, caller=system_caller())
    assert not WebhookEndpoint.objects.exists()


@pytest.mark.parametrize("way", ["directly", "by a proxy"])
@pytest.mark.parametrize("url", INSIDE)
def test_no_spelling_of_an_address_inside_is_sent_anything(
    url: str, way: str, row: WebhookDelivery, receiver: Receiver, settings: Settings
) -> None:
    """Whatever was saved, and whatever a library makes of it."""
    if way == "by a proxy":
        settings.PROVIDER_PROXIES = Proxies(https=receiver.url)
        delivery._transport.cache_clear()
    WebhookEndpoint.objects.update(url=url, is_operators=False)
    deliver_all()
    assert receiver.received == []
    assert (again(row).state, again(row).attempts) == ("pending", 1)
    if "localhost" not in url.lower() and "%25" not in url:  # which may not resolve here
        assert again(row).last_error == delivery.REFUSED_ADDRESS


def test_an_address_is_judged_again_when_it_is_connected_to(row: WebhookDelivery, receiver: Receiver) -> None:
    WebhookEndpoint.objects.update(is_operators=False)
    deliver_all()
    assert receiver.received == []
    assert "public" in again(row).last_error


def test_a_test_says_how_it_went_and_is_not_repeated(endpoint: WebhookEndpoint, receiver: Receiver) -> None:
    receiver.status = 500
    row = endpoints.test_endpoint(endpoint, caller=system_caller())
    assert (row.state, row.status_code, receiver.kinds) == ("dead", 500, ["webhook.test"])


def test_secrets_are_ciphertext_at_rest_and_bound_to_their_endpoint(
    acme: Tenant, endpoint: WebhookEndpoint, receiver: Receiver, secret: str
) -> None:
    assert secret not in endpoint.secrets
    second = endpoint_of(acme, receiver, "second")
    WebhookEndpoint.objects.filter(pk=endpoint.pk).update(secrets=second.secrets)
    acme.api.create()
    deliver_all()
    assert len(receiver.received) == 1  # the second's
    assert "somebody else" in WebhookDelivery.objects.get(endpoint=endpoint).last_error


@pytest.mark.parametrize("secret", ["whsec_short", "nothing", "whsec_" + "A" * 100 + "!"])
def test_a_secret_of_their_own_has_to_be_one(acme: Tenant, secret: str) -> None:
    with pytest.raises(InvalidRequestError):
        create_endpoint(
            acme.organization, name="x", url="https://1.1.1.1/", caller=system_caller(), secret=secret
        )
