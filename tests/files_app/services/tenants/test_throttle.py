"""Rate limits: what is over them, what is not, and what happens when their storage is away."""

from collections.abc import Callable, Iterator

import pytest
from pytest_django.fixtures import Settings

from files_app.exceptions import TooManyRequestsError
from files_app.services.tenants import throttle


@pytest.fixture(autouse=True)
def fresh_limiter(settings: Settings) -> Iterator[None]:
    settings.THROTTLE_STORAGE_URL = "memory://"
    throttle.forget_counts()
    yield
    throttle.forget_counts()


def test_it_refuses_an_address_that_tries_too_many_wrong_keys(settings: Settings) -> None:
    settings.WRONG_KEYS_PER_MINUTE = 3
    for _ in range(3):
        throttle.count_wrong_key("192.0.2.1")
    with pytest.raises(TooManyRequestsError) as refused:
        throttle.count_wrong_key("192.0.2.1")
    assert refused.value.retry_after_seconds
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


def test_it_counts_uploads_of_each_organization_on_its_own(settings: Settings) -> None:
    settings.UPLOADS_PER_MINUTE = 1
    throttle.count_upload(1)
    throttle.count_upload(2)
    with pytest.raises(TooManyRequestsError):
        throttle.count_upload(1)


def test_a_limit_of_zero_is_none(settings: Settings) -> None:
    settings.UPLOADS_PER_MINUTE = 0
    for _ in range(2_000):
        throttle.count_upload(1)


def test_requests_pass_while_the_storage_is_away(settings: Settings) -> None:
    settings.THROTTLE_STORAGE_URL = "redis://127.0.0.1:1/0"
    settings.UPLOADS_PER_MINUTE = 1
    throttle.count_upload(1)
    throttle.count_upload(1)
