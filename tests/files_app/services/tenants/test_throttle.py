"""Rate limits: what is over them, what is not, and what happens when their storage is away."""

from collections.abc import Callable, Iterator

import pytest
from pytest_django.fixtures import Settings

from files_app.exceptions import TooManyRequestsError
from files_app.services.index.callers import Caller
from files_app.services.index.limits import Limit, Limits
from files_app.services.tenants import throttle


@pytest.fixture(autouse=True)
def in_memory(settings: Settings) -> Iterator[None]:
    settings.THROTTLE_STORAGE_URL = "memory://"
    throttle.forget_counts()
    yield
    throttle.forget_counts()


def caller(organization_id: int = 1, **limits: int) -> Caller:
    """Return a caller whose organization has these limits, and whose key has none."""
    return Caller(
        organization_id,
        limits=Limits(
            **{
                what: (Limit("organization", f"{{org-{organization_id}}}:{what}", most),)
                for what, most in limits.items()
            }
        ),
    )


def test_it_refuses_an_address_that_tries_too_many_wrong_keys(settings: Settings) -> None:
    settings.WRONG_KEYS_PER_MINUTE = 3
    for _ in range(3):
        throttle.count_wrong_key("192.0.2.1")
    with pytest.raises(TooManyRequestsError) as refused:
        throttle.count_wrong_key("192.0.2.1")
    assert 0 < (refused.value.retry_after_seconds or 0) <= 60
    throttle.count_wrong_key("192.0.2.2")


@pytest.mark.parametrize("count", [throttle.count_wrong_key, throttle.count_sign_in])
@pytest.mark.parametrize(
    ("first", "same", "other"),
    [
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff::2", "2001:db8:0:2::1"),
        ("::ffff:192.0.2.1", "192.0.2.1", "::ffff:192.0.2.2"),
        ("no address", "no address", "192.0.2.1"),
    ],
)
def test_it_counts_a_network_of_ipv6_as_one_client(
    settings: Settings, count: Callable[[str], None], first: str, same: str, other: str
) -> None:
    settings.WRONG_KEYS_PER_MINUTE = settings.SIGN_INS_PER_MINUTE = 1
    count(first)
    with pytest.raises(TooManyRequestsError):
        count(same)
    count(other)


def test_it_counts_uploads_of_each_organization_on_its_own() -> None:
    throttle.count_upload(caller(1, uploads=1))
    throttle.count_upload(caller(2, uploads=1))
    with pytest.raises(TooManyRequestsError):
        throttle.count_upload(caller(1, uploads=1))


def test_a_limit_of_zero_is_none(settings: Settings) -> None:
    settings.WRONG_KEYS_PER_MINUTE = 0
    for _ in range(100):
        throttle.count_wrong_key("192.0.2.1")


def test_a_raised_limit_holds_at_once() -> None:
    throttle.count_upload(caller(uploads=1))
    with pytest.raises(TooManyRequestsError):
        throttle.count_upload(caller(uploads=1))
    throttle.count_upload(caller(uploads=2))


def test_bytes_are_counted_by_what_a_transfer_announces() -> None:
    sender = caller(bytes=1_000)
    throttle.count_upload(sender, 600)
    with pytest.raises(TooManyRequestsError, match="1,000 bytes a minute"):
        throttle.count_upload(sender, 401)
    throttle.count_bytes(sender, 400)
    with pytest.raises(TooManyRequestsError):
        throttle.count_bytes(sender, 1)


def test_a_transfer_above_the_limit_has_a_minute_of_its_own() -> None:
    sender = caller(bytes=1_000)
    throttle.count_upload(sender, 5_000)
    with pytest.raises(TooManyRequestsError):
        throttle.count_upload(sender, 1)


def test_bytes_that_came_unannounced_count_for_what_follows() -> None:
    sender = caller(bytes=1_000)
    throttle.count_upload(sender, None)
    throttle.add_bytes(sender, 5_000)
    with pytest.raises(TooManyRequestsError):
        throttle.count_upload(sender, 1)


def test_what_a_key_may_not_costs_its_organization_nothing() -> None:
    """Or a key that asks on and on would take the limit of all the others."""
    limits = Limits(requests=(Limit("organization", "{org-1}:r", 10), Limit("key", "{org-1}:r:key-1", 1)))
    greedy = Caller(1, api_key_id=1, limits=limits)
    throttle.count_request(greedy)
    for _ in range(20):
        with pytest.raises(TooManyRequestsError, match="This API key"):
            throttle.count_request(greedy)
    other = Caller(1, limits=Limits(requests=limits.requests[:1]))
    for _ in range(9):
        throttle.count_request(other)
    with pytest.raises(TooManyRequestsError, match="The organization"):
        throttle.count_request(other)


def test_a_storage_that_is_away_leaves_each_process_its_own_count(settings: Settings) -> None:
    settings.THROTTLE_STORAGE_URL = "redis://127.0.0.1:1/0"
    throttle.count_upload(caller(uploads=1))
    with pytest.raises(TooManyRequestsError):
        throttle.count_upload(caller(uploads=1))


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.0, "0ms"), (0.1199, "120ms"), (1.0, "1s"), (7.5, "7.5s"), (60.0, "1m0s"), (59.9999, "1m0s")],
)
def test_times_are_written_as_openai_does(seconds: float, shown: str) -> None:
    assert throttle.duration(seconds) == shown
