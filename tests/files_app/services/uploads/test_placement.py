"""Headers that place a file: followed by the store that they are for, refused by every other."""

import pytest

from files_app.exceptions import InvalidRequestError
from files_app.services.uploads.placement import requested_bucket
from providers.base import AccountConfig, Driver
from providers.registry import build_driver

CREDENTIALS = {"openai": {"api_key": "test-key"}}


def driver(name: str, **options: object) -> Driver:
    return build_driver(
        name, AccountConfig(name="store", options=options, credentials=CREDENTIALS.get(name, {}))
    )


@pytest.mark.parametrize("value", ["other-bucket", "gs://other-bucket", "gs%3A%2F%2Fother-bucket/"])
def test_it_reads_every_spelling_of_a_bucket(value: str) -> None:
    vertex = driver("vertex", bucket="own", region="europe-west4")
    placement = {"x-tfy-vertex-storage-bucket-name": value, "x-tfy-vertex-region": "europe-west4"}
    assert requested_bucket(vertex, placement) == "other-bucket"


def test_without_a_header_the_account_decides() -> None:
    assert requested_bucket(driver("bedrock", bucket="own", region="us-east-1"), {}) is None


@pytest.mark.parametrize(
    ("name", "options", "header", "value"),
    [
        ("local", {}, "x-tfy-aws-s3-bucket", "b"),
        ("openai", {}, "x-tfy-aws-s3-bucket", "b"),
        ("bedrock", {"bucket": "own", "region": "us-east-1"}, "x-tfy-vertex-storage-bucket-name", "b"),
        ("vertex", {"bucket": "own", "region": "europe-west4"}, "x-tfy-aws-s3-bucket", "b"),
        ("vertex", {"bucket": "own", "region": "europe-west4"}, "x-tfy-vertex-region", "us-central1"),
    ],
)
def test_what_an_account_cannot_follow_is_refused(
    name: str, options: dict[str, object], header: str, value: str
) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        requested_bucket(driver(name, **options), {header: value})
    assert refused.value.param == header
