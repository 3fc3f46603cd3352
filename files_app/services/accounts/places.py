"""Where accounts' files are, and whether one organization alone has access to them there."""

from __future__ import annotations

import hashlib
import hmac

from django.conf import settings
from django.db import transaction

from files_app.models import AccountPlace, ProviderAccount
from files_app.models.places import AccountPlaceQuerySet
from files_app.services.accounts.disk_segments import lacks_segment
from providers.base import Driver
from providers.locations import Location, Place


def place_account(account: ProviderAccount, driver: Driver) -> None:
    """Write down where the account's files are. Elsewhere than before, its access has to be proved anew."""
    found = _location(driver).places
    if found == {row.place for row in account.places.all()}:
        return
    with transaction.atomic():
        account.places.all().delete()
        AccountPlace.objects.bulk_create(
            AccountPlace(account=account, authority=place.authority, path=place.path, key_digest=place.key)
            for place in found
        )
        ProviderAccount.objects.filter(pk=account.pk).update(access_proved_at=None)
    account.access_proved_at = None


def is_exclusive(account: ProviderAccount) -> bool:
    """Whether one organization alone sees what is where this account's files are.

    Then a file that the gateway did not upload can only be that organization's: it may be adopted. One that
    was not placed yet counts as shared, and so does one that is where its organization has a shared one, or
    that has no folder of its own on disk.
    """
    if account.organization_id is None or lacks_segment(account):
        return False
    places = [row.place for row in account.places.all()]
    here = AccountPlace.objects.overlapping(places)
    marked = here.filter(account__organization=account.organization_id, account__shared_since__isnull=False)
    return bool(places) and not marked.exists() and not rivals(account).exists()


def rivals(account: ProviderAccount) -> AccountPlaceQuerySet:
    """Return the places of others that overlap this account's, and to which those others have access.

    Naming a place is no proof of access: else anybody could end another's adoption by naming its bucket. What
    was there when an operator confirmed the account is left out.
    """
    others = places_of_others(account).filter(account__access_proved_at__isnull=False)
    return others if account.confirmed_at is None else others.filter(created_at__gt=account.confirmed_at)


def places_of_others(account: ProviderAccount) -> AccountPlaceQuerySet:
    """Return the places of others that overlap this account's, whether or not they have access."""
    here = AccountPlace.objects.overlapping([row.place for row in account.places.all()])
    return here.exclude(account=account).exclude(account__organization=account.organization_id)


def are_equal(one: ProviderAccount, other: ProviderAccount) -> bool:
    """Whether two accounts reach exactly the same."""
    return _stored_location(one).equal(_stored_location(other))


def are_at_one_vendor(one: ProviderAccount, other: ProviderAccount) -> bool:
    """Whether two accounts have access to the same vendor's own host: their keys may be of one customer."""
    first, second = _stored_location(one), _stored_location(other)
    is_proved = one.access_proved_at is not None and other.access_proved_at is not None
    same_host = {place.authority for place in first.places} == {place.authority for place in second.places}
    return is_proved and first.is_at_vendor and same_host


def _stored_location(account: ProviderAccount) -> Location:
    return Location.of(row.place for row in account.places.all())


def _location(driver: Driver) -> Location:
    """Return a driver's location as it is stored: with a digest of the credentials where they matter.

    It is keyed, so that the column tells nobody whether a guessed secret is right.
    """
    pepper = settings.API_KEY_PEPPERS[-1].encode()
    secrets = "\0".join(sorted(driver.account.credentials.values()))
    digest = hmac.new(pepper, secrets.encode(), hashlib.sha256).hexdigest()
    places = driver.location().with_key(digest).places
    return Location.of(Place(place.authority[:300], place.path, place.key) for place in places)
