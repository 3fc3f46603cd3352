"""Arguments that several commands take, and what they make of their texts."""

from __future__ import annotations

import re
import sys
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from django.utils import timezone

from files_app.words import size_in

#: Entries, characters of a key, characters of a value: as the API takes them.
MAX_METADATA = (16, 64, 128)
_UNITS = {"h": "hours", "d": "days", "w": "weeks"}


def add_dry_run(parser: ArgumentParser) -> None:
    """Declare --dry-run."""
    parser.add_argument("--dry-run", action="store_true", help="show what would happen, change nothing")


def add_yes(parser: ArgumentParser) -> None:
    """Declare --yes."""
    parser.add_argument("--yes", action="store_true", help="do not ask; needed where nobody can answer")


def add_organization(parser: ArgumentParser, *, required: bool = False) -> None:
    """Declare --organization."""
    words = "the organization's name" if required else "only this organization"
    parser.add_argument("--organization", metavar="NAME", required=required, help=words)


def add_account(parser: ArgumentParser) -> None:
    """Declare --account."""
    parser.add_argument(
        "--account", metavar="NAME", help="only this provider account: NAME, ORGANIZATION/NAME or shared/NAME"
    )


def add_model(parser: ArgumentParser) -> None:
    """Declare --model."""
    parser.add_argument(
        "--model", metavar="NAME", help="batch lines for jobs: fills in or replaces what they name"
    )


def count(text: str) -> int:
    """Read a whole number. Raises ArgumentTypeError, as all of these do."""
    if not text.isdecimal() or len(text) > 12:
        raise ArgumentTypeError(f"{text!r} is not a whole number")
    return int(text)


def size(text: str) -> int:
    """Read a number of bytes: `20GB` is 20,000,000,000, `20GiB` and `20G` are binary."""
    found = size_in(text)
    if found is None:
        raise ArgumentTypeError(f"{text!r} is no size such as 20GB, 500MiB or 1048576")
    return found


def pair(text: str) -> tuple[str, str]:
    """Read one entry of metadata: `KEY=VALUE`."""
    key, equals, value = text.partition("=")
    _, longest_key, longest_value = MAX_METADATA
    if not equals or not 1 <= len(key) <= longest_key or len(value) > longest_value:
        raise ArgumentTypeError(
            f"{text!r} is not KEY=VALUE of at most {longest_key} and {longest_value} characters"
        )
    return key, value


def lifetime(text: str) -> timedelta:
    """Read a time such as `12h`, `90d` or `8w`."""
    match = re.fullmatch(r"([1-9][0-9]{0,4})([hdw])", text)
    if match is None:
        raise ArgumentTypeError(f"{text!r} is no time such as 12h, 90d or 8w")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def days(text: str) -> int:
    """Read a number of days of at most a year."""
    if not text.isdecimal() or not 1 <= int(text[:6]) <= 366:
        raise ArgumentTypeError(f"{text!r} is not a number of days from 1 to 366")
    return int(text)


def expiry_seconds(text: str) -> int:
    """Read how long a file is kept: seconds, as the API takes them, or a time such as `12h` or `7d`."""
    return int(text) if text.isdecimal() and len(text) < 10 else int(lifetime(text).total_seconds())


def moment(text: str) -> datetime:
    """Read a moment: `7d` from now, `2026-12-31` or `2026-12-31T18:00`, in UTC unless it says else."""
    if re.fullmatch(r"[0-9]+[hdw]", text):
        return timezone.now() + lifetime(text)
    try:
        found = datetime.fromisoformat(text)
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise ArgumentTypeError(
            f"{text!r} is neither a time from now such as 7d nor a date such as 2026-12-31"
        ) from None


def named_or_read(references: Iterable[str]) -> list[str]:
    """Return the references without repetition; `-` stands for those on standard input, one a line."""
    found: dict[str, None] = {}
    for reference in references:
        lines = sys.stdin if reference == "-" else (reference,)
        found |= dict.fromkeys(line.strip() for line in lines if line.strip())
    return list(found)
