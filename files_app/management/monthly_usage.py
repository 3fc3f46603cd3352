"""What organizations used in a month, as `manage.py orgs usage` prints it."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Iterator
from typing import Any, get_args

from django.core.management.base import CommandError

from files_app.management.base import GroupCommand
from files_app.management.output import write_table
from files_app.management.references import organization_named
from files_app.services.index.metering import report
from files_app.services.index.metering.storage import first_open_day
from files_app.words import short_bytes

_HEADERS = ["GB-HOURS", "ADOPTED", "IN", "OUT", "REQUESTS", "FILES"]
_GROUPS = tuple(group for group in get_args(report.Group) if group != "organization")


def add_month(parser: ArgumentParser) -> None:
    """Declare what asks for the usage of a month."""
    parser.add_argument(
        "--month", type=_month, metavar="YYYY-MM", help="for bills: what was used in a month (UTC)"
    )
    parser.add_argument(
        "--by",
        type=_groups,
        default=[],
        metavar="GROUPS",
        help=f"with --month: some of {', '.join(_GROUPS)}, with commas between",
    )
    parser.add_argument(
        "--all", action="store_true", help="with --month: every organization, also those that are gone"
    )


def show_month(command: GroupCommand, arguments: Namespace) -> None:
    """Print the usage of the month that is asked for. Raises CommandError."""
    if arguments.all == bool(arguments.organization):
        raise CommandError("Name one organization, or say --all.")
    days = arguments.month or report.month_of(report.today())
    rows = report.within(days)
    if not arguments.all:
        rows = rows.filter(organization=organization_named(arguments.organization))
    used = report.added_up(rows, ["organization", *arguments.by])
    is_final = first_open_day() > days.last
    if arguments.json:
        data = [dict(_as_json(each, arguments.by)) for each in used]
        command.write_json({"month": f"{days.first:%Y-%m}", "is_final": is_final, "data": data})
        return
    headers = ["ORGANIZATION", *(group.upper() for group in _GROUPS if group in arguments.by), *_HEADERS]
    if not write_table(command.stdout, headers, (_as_row(each, arguments.by) for each in used)):
        command.say(f"Nothing was used in {days.first:%B %Y}.")
    elif not is_final:
        command.say(f"{days.first:%B %Y} is not final yet: days are from an hour after their end.")


def _as_json(used: report.Used, by: list[report.Group]) -> Iterator[tuple[str, Any]]:
    yield "organization", used.organization
    for group in _GROUPS:
        if group in by:
            yield group, _group(used, group)
    yield "gb_hours", used.gb_hours
    yield "adopted_gb_hours", used.adopted_gb_hours
    for name in ("bytes_in", "bytes_out", "requests", "files"):
        yield name, getattr(used, name)


def _as_row(used: report.Used, by: list[report.Group]) -> list[Any]:
    groups = [_group(used, group) for group in _GROUPS if group in by]
    return [
        used.organization,
        *groups,
        f"{used.gb_hours:,.3f}",
        f"{used.adopted_gb_hours:,.3f}",
        short_bytes(used.bytes_in),
        short_bytes(used.bytes_out),
        used.requests,
        used.files,
    ]


def _group(used: report.Used, group: report.Group) -> str:
    return str(getattr(used, group))


def _month(text: str) -> report.Days:
    if month := report.month_named(text):
        return month
    raise ArgumentTypeError(f"{text!r} is no month such as 2026-11")


def _groups(text: str) -> list[report.Group]:
    names = text.split(",")
    if not set(names) <= set(_GROUPS):
        raise ArgumentTypeError(f"{text!r} is not some of {', '.join(_GROUPS)}")
    return [group for group in _GROUPS if group in names]
