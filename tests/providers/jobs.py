"""Writes objects as batch jobs do: behind the gateway's back, without any of its details."""

from __future__ import annotations

import boto3
import requests

from tests.providers.stores import ACCESS_KEY, BUCKETS, SECRET_KEY


def put_s3(endpoint_url: str, key: str, content: bytes) -> str:
    """Write an object into the first bucket and return its remote id."""
    keys = {"aws_access_key_id": ACCESS_KEY, "aws_secret_access_key": SECRET_KEY}
    client = boto3.client("s3", endpoint_url=endpoint_url, region_name="us-east-1", **keys)
    client.put_object(Bucket=BUCKETS[0], Key=key, Body=content)
    return f"{BUCKETS[0]}/{key}"


def put_gcs(endpoint_url: str, key: str, content: bytes) -> str:
    """Write an object into the first bucket and return its remote id."""
    answer = requests.post(
        f"{endpoint_url}/upload/storage/v1/b/{BUCKETS[0]}/o",
        params={"uploadType": "media", "name": key},
        data=content,
        timeout=10,
    )
    answer.raise_for_status()
    return f"{BUCKETS[0]}/{key}"
