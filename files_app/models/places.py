"""Where accounts' files are, so that the database tells which accounts see the same ones."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from django.db import models
from django.db.models import Q, Value
from django.db.models.functions import Left
from django.db.models.lookups import Exact
from django.utils import timezone

from files_app.models.accounts import ProviderAccount
from providers.locations import Place


class AccountPlaceQuerySet(models.QuerySet["AccountPlace"]):
    """What `Place.contains` says of two places, in SQL."""

    def overlapping(self, places: Iterable[Place], *, whatever_the_key: bool = False) -> AccountPlaceQuerySet:
        """Return the places that contain one of `places` or are in one.

        whatever_the_key: also those of other customers of the same vendor.
        """
        wanted = Q(pk__in=[])
        for place in places:
            inside = Q(Exact(Left("path", len(place.path)), Value(place.path)))
            near = Q(authority=place.authority) & (inside | Q(path__in=place.ancestors()))
            wanted |= near if whatever_the_key else near & Q(key_digest=place.key)
        return self.filter(wanted)


class AccountPlace(models.Model):
    """One place that an account can reach; see `providers.locations.Place`.

    key_digest: keyed digest of the credentials, where a vendor's host shows each customer other files.
    created_at: since when the account is here.
    """

    account = models.ForeignKey(ProviderAccount, on_delete=models.CASCADE, related_name="places")
    authority = models.CharField(max_length=300)
    path = models.TextField()
    key_digest = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    objects = AccountPlaceQuerySet.as_manager()

    class Meta:
        indexes: ClassVar = [models.Index(fields=["authority", "key_digest"], name="place_authority")]

    def __str__(self) -> str:
        return f"{self.authority}{self.path}"

    @property
    def place(self) -> Place:
        """The place as a value."""
        return Place(self.authority, self.path, self.key_digest)
