"""Reads what providers and operators write: ids, times, sizes, addresses and headers.

All are pure functions of their arguments.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from providers.exceptions import ProviderConfigurationError
from providers.objects import JSONObject, JSONValue

#: What a provider may use as an id. Anything else is refused before it can enter a URL or the index.
REMOTE_ID = re.compile(r"[A-Za-z0-9._~=:-]{1,255}")


#: What a provider may use as the id of a request, which is logged and passed on to clients.
_REQUEST_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:=+/@~-]{0,127}")


def is_request_id(value: str) -> bool:
    """Whether a text can be a provider's id of a request."""
    return _REQUEST_ID.fullmatch(value) is not None


def check_header_value(value: str, *, field: str) -> None:
    """Raise ProviderConfigurationError for a value that could not stand in a header; never repeats it."""
    if not (value.isascii() and value.isprintable()) or value != value.strip():
        raise ProviderConfigurationError(
            f"'{field}' must be printable ASCII without spaces around it.", field=field
        )


def origin(url: str) -> str:
    """Return scheme, host and port of an endpoint in their one spelling."""
    parts = split_url(url)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)
    return f"{parts.scheme}://{(parts.hostname or '').lower()}:{port}"


def check_endpoint(url: str, *, field: str) -> None:
    """Raise ProviderConfigurationError unless `url` is http(s) with a host and no user, query or fragment."""
    parts = split_url(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ProviderConfigurationError(f"'{field}' must be a URL such as https://host/v1.", field=field)
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ProviderConfigurationError(
            f"'{field}' must hold no user, password, query or fragment.", field=field
        )


def split_url(url: str, *, base: str = "") -> SplitResult:
    """Split a URL, relative to `base` where it is; what cannot be split has neither scheme nor host."""
    try:
        parts = urlsplit(urljoin(base, url))
        return parts if parts.port != 0 else urlsplit("")
    except ValueError:
        return urlsplit("")


def is_usable_id(value: str) -> bool:
    """Whether a provider's id is safe in a URL: its characters are plain, and it is not `.` or `..`."""
    return REMOTE_ID.fullmatch(value) is not None and value.strip(".") != ""


def path_segment(value: str) -> str:
    """Escape `value` for use as one segment of a URL's path."""
    return quote(value, safe="")


def parse_content_range(value: str) -> tuple[int, int, int] | None:
    """Return (first, last, total) of a 206's Content-Range, None when it cannot be understood."""
    match = re.fullmatch(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19})", value)
    return (int(match[1]), int(match[2]), int(match[3])) if match else None


def parse_time(value: JSONValue) -> datetime | None:
    """Read a time: Unix seconds, milliseconds (above 10^11), digits in a string, or RFC 3339.

    Returns it in UTC; None for anything else, and for times that no file can have, such as the year 1 that
    Go writes for no time.
    """
    try:
        if isinstance(value, str) and not (value.isascii() and value.isdigit()):
            parsed = datetime.fromisoformat(value)
            moment = (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).astimezone(UTC)
        elif isinstance(value, bool) or not isinstance(value, int | float | str):
            return None
        else:
            number = int(value[:15]) if isinstance(value, str) else value
            moment = datetime.fromtimestamp(number / 1000 if number > 1e11 else number, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return moment if moment.timestamp() > 0 else None


def parse_size(value: JSONValue) -> int | None:
    """Read a size in bytes: a non-negative integer or its digits in a string; None for anything else."""
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value[:19])
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
        return None
    return value


def parse_text(value: JSONValue, limit: int = 255) -> str | None:
    """Return a non-empty string clipped to `limit` characters; None for anything else."""
    return value[:limit] if isinstance(value, str) and value else None


def parse_words(value: JSONValue) -> str | None:
    """Return what a provider says about a file, None where it says nothing.

    It is not cut yet: the driver's door does that, once it has struck out what is secret.
    """
    return parse_text(value, limit=8_000)


def parse_objects(value: JSONValue) -> list[JSONObject] | None:
    """Return a list of objects, None for anything else, also for a list that holds anything else."""
    found = [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []
    return found if isinstance(value, list) and len(found) == len(value) else None


def retry_after_seconds(headers: Mapping[str, str]) -> float | None:
    """Return how long the provider asks to wait: at least 0, None where it does not say understandably.

    `retry-after-ms` wins over `Retry-After`, which may be seconds (also with a fraction) or an HTTP date.
    """
    for name, factor in (("retry-after-ms", 0.001), ("Retry-After", 1.0)):
        value = headers.get(name, "").strip()
        if not value:
            continue
        try:
            seconds = float(value) * factor
            return max(0.0, seconds) if math.isfinite(seconds) else None
        except ValueError:
            pass
        try:
            return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
        except (ValueError, TypeError, OverflowError):
            continue
    return None


def parse_positive(value: object, *, field: str) -> int | None:
    """Read an option of kind integer, None where it is not set. Raises ProviderConfigurationError."""
    if value is None:
        return None
    is_number = isinstance(value, int | str) and not isinstance(value, bool)
    if not is_number or not re.fullmatch("[1-9][0-9]*", str(value)):
        raise ProviderConfigurationError(f"'{field}' must be a positive whole number.", field=field)
    return int(str(value))
