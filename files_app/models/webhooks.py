"""Webhooks: where organizations are told what happens, and the outbox of what they are told."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import ClassVar

from django.db import models
from django.db.models import OuterRef, Q, Subquery
from django.db.models.functions import Now
from django.utils import timezone

from files_app.models.organizations import NAME_VALIDATOR, Organization
from files_app.models.states import StatefulModel, StatefulQuerySet, Transitions

MAX_URL_CHARACTERS = 2_048
#: So long an event is tried.
GIVE_UP_AFTER = timedelta(hours=24)
#: An event that was tried for so long and has not arrived is late.
LATE_AFTER = timedelta(hours=1)
#: So long after it was given up, somebody has to look at an event; the log has it for longer.
GIVEN_UP_LATELY = timedelta(days=7)


class EventKind(models.TextChoices):
    """What is told, as receivers read it. Stored: never rename one."""

    FILE_CREATED = "file.created"
    FILE_PROCESSED = "file.processed"
    FILE_DELETED = "file.deleted"
    FILE_EXPIRED = "file.expired"
    FILE_FAILED = "file.failed"
    FILE_LOST = "file.lost"
    ORGANIZATION_QUOTA = "organization.quota"
    ACCOUNT_FAILING = "account.failing"
    ACCOUNT_RECOVERED = "account.recovered"
    TEST = "webhook.test"


#: What an endpoint may ask for; it is tested without being asked.
SUBSCRIBABLE = tuple(kind.value for kind in EventKind if kind is not EventKind.TEST)


def all_kinds() -> list[str]:
    """Return every kind that an endpoint may ask for: what it is told unless somebody narrows it."""
    return list(SUBSCRIBABLE)


class WebhookEndpointQuerySet(models.QuerySet["WebhookEndpoint"]):
    """Endpoints."""

    def there(self) -> WebhookEndpointQuerySet:
        """Return those that are on, and not left alone for a while."""
        return self.filter(Q(paused_until__isnull=True) | Q(paused_until__lte=Now()), is_enabled=True)

    def with_due(self) -> WebhookEndpointQuerySet:
        """Return those to which something is to be sent, and perhaps is just being sent.

        Only the first row that waits is looked at: an endpoint may have very many.
        """
        waiting = WebhookDelivery.objects.filter(endpoint=OuterRef("pk"), state=DeliveryState.PENDING)
        first = waiting.order_by("next_attempt_at").values("next_attempt_at")[:1]
        return self.there().annotate(first_due=Subquery(first)).filter(first_due__lte=Now())

    def gone(self) -> WebhookEndpointQuerySet:
        """Return those that the gateway switched off, and nobody has said since that this is right."""
        return self.filter(is_enabled=False).exclude(disabled_reason="")


class WebhookEndpoint(models.Model):
    """Where an organization is told.

    uid: what its secrets are bound to. secrets: those that sign, encrypted: the newest, and while a rotation
    overlaps, older ones, until overlap_ends_at at the longest. disabled_reason: why the gateway itself
    switched it off. is_operators: who runs the gateway answers for where it leads. failures: times in a row
    that it was not there; paused_until: it is not tried before.
    """

    organization = models.ForeignKey(
        Organization, on_delete=models.CASCADE, related_name="webhook_endpoints", db_index=False
    )
    name = models.CharField(max_length=64, validators=[NAME_VALIDATOR])
    uid = models.UUIDField(default=uuid.uuid4, editable=False)
    url = models.CharField("URL", max_length=MAX_URL_CHARACTERS)
    kinds = models.JSONField(default=all_kinds)
    secrets = models.TextField(editable=False)
    overlap_ends_at = models.DateTimeField(null=True, editable=False)
    is_enabled = models.BooleanField(default=True)
    disabled_reason = models.CharField(max_length=200, blank=True, editable=False)
    is_operators = models.BooleanField(default=False, editable=False)
    failures = models.PositiveIntegerField(default=0, editable=False)
    paused_until = models.DateTimeField(null=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = WebhookEndpointQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["organization", "name"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["organization", "name"], name="one_endpoint_of_a_name"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def full_name(self) -> str:
        """Its name with its organization's."""
        return f"{self.organization.name}/{self.name}"

    @property
    def is_overlapping(self) -> bool:
        """Whether an older secret signs too."""
        return self.overlap_ends_at is not None and self.overlap_ends_at > timezone.now()


class DeliveryState(models.TextChoices):
    """How a delivery stands. dead: the attempts are exhausted, or the endpoint is gone."""

    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"


#: state -> the states that may follow: what is over is sent again where somebody asks for it.
DELIVERY_TRANSITIONS: Transitions = {
    DeliveryState.PENDING: frozenset({DeliveryState.DELIVERED, DeliveryState.DEAD}),
    DeliveryState.DELIVERED: frozenset({DeliveryState.PENDING}),
    DeliveryState.DEAD: frozenset({DeliveryState.PENDING}),
}


class WebhookDeliveryQuerySet(StatefulQuerySet["WebhookDelivery"]):
    """The outbox of webhooks."""

    transitions = DELIVERY_TRANSITIONS

    def due(self) -> WebhookDeliveryQuerySet:
        """Return what is to be sent now and nobody sends, oldest first; paused endpoints are left alone.

        In the order of the index alone: the first of very many has to be found without sorting them.
        """
        return self.filter(
            Q(lease_expires_at__isnull=True) | Q(lease_expires_at__lt=Now()),
            Q(endpoint__paused_until__isnull=True) | Q(endpoint__paused_until__lte=Now()),
            endpoint__is_enabled=True,
            state=DeliveryState.PENDING,
            next_attempt_at__lte=Now(),
        ).order_by("next_attempt_at")

    def late(self) -> WebhookDeliveryQuerySet:
        """Return what was tried for long, and has not arrived where it is wanted."""
        tried_long = timezone.now() + GIVE_UP_AFTER - LATE_AFTER
        return self.filter(endpoint__is_enabled=True, state=DeliveryState.PENDING, give_up_at__lt=tried_long)

    def given_up(self) -> WebhookDeliveryQuerySet:
        """Return what was given up lately where it is wanted: nobody tries it again by itself.

        A test that failed has told so whoever made it.
        """
        lately = timezone.now() - GIVEN_UP_LATELY
        wanted = self.filter(endpoint__is_enabled=True).exclude(kind=EventKind.TEST)
        return wanted.filter(state=DeliveryState.DEAD, state_changed_at__gt=lately)


class WebhookDelivery(StatefulModel):
    """One event for one endpoint: the outbox entry while `pending`, and the log afterwards.

    message_id: the receiver's `webhook-id`, the same at each attempt and at every endpoint. payload: the body
    as it is sent. give_up_at: after this a failed attempt is the last. status_code: what was answered last.
    """

    endpoint = models.ForeignKey(
        WebhookEndpoint, on_delete=models.CASCADE, related_name="deliveries", db_index=False
    )
    message_id = models.CharField(max_length=64)
    kind = models.CharField(max_length=32)  # an EventKind
    payload = models.TextField()
    state = models.CharField(max_length=16, choices=DeliveryState, default=DeliveryState.PENDING)
    attempts = models.PositiveIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True, blank=True)
    give_up_at = models.DateTimeField()
    status_code = models.PositiveSmallIntegerField(null=True, blank=True)
    last_error = models.CharField(max_length=500, blank=True)
    lease_token = models.CharField(max_length=32, blank=True, editable=False)
    lease_expires_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now)
    state_changed_at = models.DateTimeField(default=timezone.now)

    objects = WebhookDeliveryQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "webhook deliveries"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["message_id", "endpoint"], name="one_delivery_of_a_message"),
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["endpoint", "next_attempt_at"],
                condition=Q(state="pending"),
                name="webhook_due",
            ),
            models.Index(
                fields=["endpoint", "state_changed_at"],
                condition=Q(state="dead"),
                name="webhook_dead",
            ),
            models.Index(fields=["endpoint", "-created_at", "-id"], name="webhook_log"),
            models.Index(fields=["-created_at", "-id"], name="webhook_by_time"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.message_id}"
