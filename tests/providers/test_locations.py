"""Where files are: one place in every spelling, and two places only where files differ."""

from __future__ import annotations

import random
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from providers.base import AccountConfig
from providers.flavors import FLAVORS
from providers.locations import (
    VENDOR_HOSTS,
    Location,
    Place,
    collection_place,
    object_place,
    s3_endpoint,
)
from providers.registry import DRIVERS, build_driver, driver_class
from providers.rest_driver import RestDriver
from tests.providers.transport import FakeTransport

#: What a browser, a resolver or `inet_aton` takes for this machine.
LOOPBACK = (
    *("127.0.0.1", "localhost", "LocalHost.", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "127.1"),
    *("127.0.1", "2130706433", "0x7f000001", "0177.0.0.1", "0x7f.1", "0.0.0.0", "0", "[::]", "127.9.9.9"),  # noqa: S104
    *("ip6-localhost", "api.localhost", "%6cocalhost", "\uff11\uff12\uff17\u30020.0.1", "[64:ff9b::7f00:1]"),
)
PATHS = (
    *("", "/", "/v1", "/v1/", "//v1", "/./v1", "/x/../v1", "/%76%31", "/V1", "/openai/v1", "/openai"),
    *("/%2e%2e/v1", "/v1;x=1", "/openai/v1/"),
)
S3 = (
    *("https://s3.amazonaws.com", "https://s3.us-east-1.amazonaws.com", "https://s3-us-west-2.amazonaws.com"),
    *("https://S3.dualstack.us-east-1.amazonaws.com./", "https://s3-fips.us-east-2.amazonaws.com:443"),
    *("https://s3-fips.dualstack.us-east-1.amazonaws.com", "https://s3-accelerate.amazonaws.com"),
    *("https://s3-accelerate.dualstack.amazonaws.com", "http://s3.eu-central-1.amazonaws.com"),
    "https://bucket.vpce-0a1b-c2d3.s3.us-east-1.vpce.amazonaws.com",
    *(s3_endpoint(""), s3_endpoint("eu-central-1")),
)
GCS = (
    *("https://storage.googleapis.com", "https://www.googleapis.com", "https://storage.mtls.googleapis.com"),
    *("https://storage.us-central1.rep.googleapis.com", "https://storage-acme.p.googleapis.com"),
    "https://restricted.googleapis.com",
)
AZURE = (
    *("https://acme.openai.azure.com", "https://ACME.openai.azure.com/openai/v1"),
    *("https://acme.cognitiveservices.azure.com", "https://acme.services.ai.azure.com/api/projects/x"),
    "https://acme.privatelink.openai.azure.com:443/openai",
)


def test_every_spelling_of_this_machine_is_one_place() -> None:
    places = {collection_place(f"http://{host}:8080{path}/files") for host in LOOPBACK for path in PATHS}
    assert places == {Place("@loopback:8080")}


@pytest.mark.parametrize(
    "name", ["openai", "openai-compatible", "xai", "groq", "mistral", "deepinfra", "cerebras"]
)
def test_the_driver_makes_no_difference(name: str) -> None:
    here = Location.of([Place("@loopback:8080")])
    for url in (f"http://{host}:8080{path}" for host in LOOPBACK for path in PATHS):
        account = AccountConfig("a", {"base_url": url}, {"api_key": "k"}, transport=FakeTransport([]))
        assert build_driver(name, account).location().equal(here)


def test_other_addresses_have_one_spelling_too() -> None:
    hosts = (
        "10.0.0.1",
        "10.1",
        "167772161",
        "012.0.0.1",
        "0xa.0x0.0.1",
        "[::ffff:10.0.0.1]",
        "[::ffff:a00:1]",
    )
    assert {collection_place(f"https://{host}/files") for host in hosts} == {Place("10.0.0.1")}
    assert collection_place("http://[2001:DB8:0::1]:81/files") == Place("2001:db8::1:81")
    names = ("faß.example", "xn--fa-hia.example", "FASS.example")
    assert len({collection_place(f"https://{name}/files") for name in names}) == 2


@pytest.mark.parametrize(
    ("endpoints", "authority"), [(S3, "@aws"), (GCS, "@gcs")], ids=["s3", "cloud storage"]
)
def test_all_endpoints_of_one_store_are_one_place(endpoints: tuple[str, ...], authority: str) -> None:
    assert {object_place(url, "bucket-1", "a/b/") for url in endpoints} == {
        Place(authority, "/bucket-1/a/b/")
    }


def test_a_bucket_in_the_name_of_the_host_comes_first() -> None:
    for url in ("https://mine.s3.eu-central-1.amazonaws.com", "https://mine.s3-accelerate.amazonaws.com"):
        assert object_place(url, "files", "") == Place("@aws", "/mine/files/")
    vpc = "https://mine.bucket.vpce-0a-1b.s3.us-east-1.vpce.amazonaws.com"
    assert object_place(vpc, "files", "") == Place("@aws", "/mine/files/")
    assert object_place("https://mine.storage.googleapis.com", "files", "x") == Place(
        "@gcs", "/mine/files/x/"
    )


def test_partitions_are_apart() -> None:
    regions = ("", "cn-north-1", "us-gov-west-1")
    found = [object_place(s3_endpoint(region), "files", "").authority for region in regions]
    assert found == ["@aws", "@aws-cn", "@aws-us-gov"]


def test_an_azure_resource_is_one_place_under_each_of_its_names() -> None:
    assert {collection_place(f"{url}/files") for url in AZURE} == {Place("@azure/acme")}
    assert collection_place("https://acme.openai.azure.us/files") == Place("@azure/acme.us")


def test_a_vendors_host_is_one_place_for_each_key() -> None:
    urls = ("https://api.openai.com/v1", "http://eu.api.openai.com/v1/x", "https://API.openai.com.:443")
    here = [Location.of([collection_place(f"{url}/files")]) for url in urls]
    assert all(each.is_at_vendor and each.equal(here[0]) for each in here)
    assert not here[0].with_key("one").overlaps(here[1].with_key("other"))
    assert here[0].with_key("one").equal(here[1].with_key("one"))
    assert collection_place("https://api.together.xyz/v1/files") == Place("api.together.ai")
    elsewhere = Location.of([collection_place("https://files.example/v1/files")])
    assert elsewhere.with_key("one").equal(elsewhere.with_key("other")) and not elsewhere.is_at_vendor


def default_url(name: str) -> str:
    options = {"account_id": "acme", "bucket": "files", "endpoint": "https://acme.openai.azure.com"}
    taken = {setting.name for setting in driver_class(name).options}
    given = {key: value for key, value in options.items() if key in taken}
    driver = build_driver(name, AccountConfig("a", given, {"api_key": "k"}))
    assert isinstance(driver, RestDriver)
    return driver.base_url


def test_the_host_of_every_vendor_is_known_as_one() -> None:
    """A host that is missing here makes strangers of one vendor look like one customer."""
    own_place = {"azure-openai", "fireworks"}  # the address names the customer
    rest = [name for name in DRIVERS if issubclass(driver_class(name), RestDriver) and name not in own_place]
    urls = [default_url(name) for name in rest if name != "openai-compatible"]
    urls += [row.base_url for row in FLAVORS.values() if row.base_url]
    assert {urlsplit(url).hostname for url in urls} <= VENDOR_HOSTS


def test_a_workspace_is_part_of_its_keys_place_at_the_vendor_alone() -> None:
    def location(url: str, workspace: str) -> Location:
        options = {"base_url": url, "workspace_id": workspace}
        return build_driver("anthropic", AccountConfig("a", options, {"api_key": "k"})).location()

    vendor, proxy = "https://api.anthropic.com", "https://proxy.example"
    assert not location(vendor, "wrkspc_1").overlaps(location(vendor, "wrkspc_2"))
    assert location(vendor, "").overlaps(location(vendor, "wrkspc_2"))
    assert location(vendor, "wrkspc_1").equal(location(vendor, "WRKSPC_1"))
    assert location(proxy, "wrkspc_1").equal(location(proxy, "wrkspc_2"))  # it may not heed the header


def test_an_account_is_in_every_bucket_that_a_request_may_name() -> None:
    def location(name: str, **options: object) -> Location:
        return build_driver(name, AccountConfig("a", {"prefix": "files", **options}, {})).location()

    mine = location("bedrock", bucket="one", allowed_buckets=["two"])
    assert mine.overlaps(location("bedrock", bucket="two", region="eu-central-1"))
    assert mine.overlaps(location("bedrock", bucket="two", prefix="files/org-2"))
    assert not mine.overlaps(location("bedrock", bucket="two", prefix="files-of-others"))
    assert not mine.overlaps(location("bedrock", bucket="three"))
    google = "https://storage.googleapis.com"
    assert location("vertex", bucket="one").equal(location("bedrock", bucket="one", endpoint_url=google))


# -- the two operations ----------------------------------------------------------------------------------

segments = st.lists(st.sampled_from(["a", "b", "ab"]), max_size=3)
places = st.builds(
    lambda authority, path, key: Place(authority, key=key).below(*path),
    st.sampled_from(["h", "h:81"]),
    segments,
    st.sampled_from(["", "k"]),
)
locations = st.builds(Location.of, st.lists(places, min_size=1, max_size=3))


def holds(location: Location, file: Place) -> bool:
    return any(place.contains(file) for place in location.places)


@given(locations, locations, segments)
@settings(max_examples=150, deadline=None)
def test_two_locations_overlap_when_one_file_can_be_in_both(
    one: Location, other: Location, deeper: list[str]
) -> None:
    files = [place.below(*deeper) for place in one.places | other.places]
    assert one.overlaps(other) == any(holds(one, file) and holds(other, file) for file in files)
    assert one.overlaps(other) == other.overlaps(one)
    assert one.overlaps(one) and one.equal(one)
    assert not one.equal(other) or one.overlaps(other)


@given(places, places)
@settings(max_examples=100, deadline=None)
def test_a_place_is_in_its_ancestors_and_in_nothing_else(one: Place, other: Place) -> None:
    same = (one.authority, one.key) == (other.authority, other.key)
    assert other.contains(one) == (same and other.path in one.ancestors())


def respelled(path: list[str], rng: random.Random) -> str:
    """Return a path in other words: escapes, dots, doubled slashes, another case."""
    noise = ("", "/", "/.", "/x/..", "/%2e", "/y/%2E.")
    parts = []
    for segment in path:
        escaped = "".join(f"%{ord(c):02x}" if rng.random() < 0.3 else c.upper() for c in segment)
        parts.append(f"{rng.choice(noise)}/{escaped}")
    return "".join(parts)


@given(segments, st.sampled_from([("v1",), ("openai", "v1"), ()]), st.randoms(use_true_random=False))
@settings(max_examples=150, deadline=None)
def test_a_url_in_other_words_is_the_same_place(
    path: list[str], dialect: tuple[str, ...], rng: random.Random
) -> None:
    url = "https://files.example" + "".join(f"/{segment}" for segment in path)
    host = rng.choice(["FILES.example", "files.example.", "files.example:443", "files.example:80"])
    other = f"http://{host}{respelled([*path, *dialect], rng)}"
    assert collection_place(f"{url}/files") == collection_place(f"{other}/files")
