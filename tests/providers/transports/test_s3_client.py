"""What clients of S3 hold in memory, and that they still find AWS with it."""

from typing import Any

import botocore.session
import pytest

from providers.transports.s3_client import S3Config, make_client

KEYS = {"access_key_id": "key", "secret_access_key": "secret"}


def loader_of(client: Any) -> Any:
    return client._loader


def test_clients_share_what_botocore_knows_of_aws() -> None:
    first, second = (make_client(S3Config(region=region, **KEYS)) for region in ("us-east-1", "eu-west-1"))
    loader = loader_of(first)
    assert loader is loader_of(second)
    services = [partition["services"] for partition in loader.load_data("endpoints")["partitions"]]
    assert "s3" in services[0]
    assert "ec2" not in services[0]


@pytest.mark.parametrize(
    "region", ["us-east-1", "eu-central-1", "us-gov-west-1", "cn-north-1", "mars-north-1"]
)
@pytest.mark.parametrize("service", ["s3", "sts", "sso", "sso-oidc", "signin"])
def test_endpoints_are_those_that_botocore_finds(region: str, service: str) -> None:
    client: Any = make_client(S3Config(region=region, **KEYS))
    given = {"aws_access_key_id": "key", "aws_secret_access_key": "secret", "region_name": region}
    whole = botocore.session.Session()
    ours = botocore.session.Session()
    ours.register_component("data_loader", loader_of(client))
    found = [session.create_client(service, **given).meta.endpoint_url for session in (whole, ours)]
    assert found[0] == found[1]
