"""The database says of places what their values say."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from files_app.models import AccountPlace, Organization, ProviderAccount
from providers.locations import Location, Place

segments = st.lists(st.sampled_from(["a", "A", "ab", "%_"]), max_size=2)
places = st.builds(
    lambda authority, path, key: Place(authority, key=key).below(*path),
    st.sampled_from(["h", "h:81"]),
    segments,
    st.sampled_from(["", "k"]),
)
locations = st.builds(Location.of, st.lists(places, min_size=1, max_size=2))


@pytest.mark.django_db
@given(locations, locations)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_query_finds_what_overlaps(one: Location, other: Location) -> None:
    organization, _ = Organization.objects.get_or_create(name="acme")
    account, _ = ProviderAccount.objects.get_or_create(organization=organization, name="a", driver="local")
    account.places.all().delete()
    for place in other.places:
        account.places.create(authority=place.authority, path=place.path, key_digest=place.key)
    assert AccountPlace.objects.overlapping(one.places).exists() == one.overlaps(other)
    bare_one, bare_other = (
        Location.of(Place(place.authority, place.path) for place in each.places) for each in (one, other)
    )
    found = AccountPlace.objects.overlapping(one.places, whatever_the_key=True)
    assert found.exists() == bare_one.overlaps(bare_other)
