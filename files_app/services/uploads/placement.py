"""Where in an object store a file goes, as far as the client may say."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import unquote

from files_app.exceptions import InvalidRequestError
from providers.base import Driver

#: Header -> the storage that it is for, and what it names.
PLACEMENT_HEADERS: Mapping[str, tuple[str, str]] = {
    "x-tfy-aws-s3-bucket": ("s3", "bucket"),
    "x-tfy-vertex-storage-bucket-name": ("gcs", "bucket"),
    "x-tfy-vertex-region": ("gcs", "region"),
}


def requested_bucket(driver: Driver, placement: Mapping[str, str]) -> str | None:
    """Return the bucket that a request asks for, None for the account's own; the driver checks its list.

    placement: values by header name. Raises InvalidRequestError for a header that this account cannot
    follow: what a client asks for is done or refused, never ignored.
    """
    bucket = None
    for header, value in placement.items():
        storage, what = PLACEMENT_HEADERS[header]
        if driver.capabilities.storage != storage:
            raise InvalidRequestError(
                f"The account '{driver.account.name}' ({driver.label}) cannot follow the header {header}.",
                param=header,
            )
        if what == "bucket":
            bucket = unquote(value).removeprefix("gs://").removeprefix("s3://").rstrip("/")
        elif value != driver.text_option("region"):
            raise InvalidRequestError(
                f"The account '{driver.account.name}' keeps its files in "
                f"'{driver.text_option('region') or 'the region of its bucket'}', not in '{value[:64]}'.",
                param=header,
            )
    return bucket
