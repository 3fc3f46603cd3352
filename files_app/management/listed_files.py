"""The subcommand of `manage.py files` that lists them."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from django.db.models import F, Q
from django.utils import timezone

from files_app.exceptions import InvalidRequestError
from files_app.management.arguments import add_account, add_organization, count, lifetime, moment
from files_app.management.base import GroupCommand
from files_app.management.output import write_json_list, write_table
from files_app.management.references import selected_files
from files_app.models import ApiKey, File, FileCopy, FileState
from files_app.models.files import FileQuerySet
from files_app.services.index.file_objects import file_record
from files_app.words import short_bytes

_LISTED_ROWS = 50
#: What people mean by sorting: the newest, the largest, what expires soonest, the first by name.
_SORTS: dict[str, tuple[Any, ...]] = {
    "created": (F("indexed_at").desc(), F("pk").desc()),
    "size": (F("bytes").desc(), F("pk").desc()),
    "expires": (F("expires_at").asc(nulls_last=True), F("pk").asc()),
    "name": (F("filename").asc(), F("pk").asc()),
}
_REVERSED: dict[str, tuple[Any, ...]] = {
    "created": (F("indexed_at").asc(), F("pk").asc()),
    "size": (F("bytes").asc(), F("pk").asc()),
    "expires": (F("expires_at").desc(nulls_last=True), F("pk").desc()),
    "name": (F("filename").desc(), F("pk").desc()),
}


class ListedFilesCommand(GroupCommand):
    """Declares `list`."""

    def declare_list(self) -> None:
        parser = self.subcommand(
            "list",
            self.list_files,
            text="List files, newest first. Shows what the index knows; no provider is asked.",
            examples="""
                manage.py files list --organization acme --account openai --purpose batch
                manage.py files list --failed --limit 10
                manage.py files list --sort size
                manage.py files list --expires-before 7d --sort expires
                manage.py files list --older-than 90d --key ci --ids | manage.py files delete - --yes
                manage.py files list --limit 0 --json > files.json
            """,
        )
        add_organization(parser)
        add_account(parser)
        state = parser.add_mutually_exclusive_group()
        state.add_argument(
            "--state",
            choices=[*FileState.values, "all"],
            default=FileState.AVAILABLE.value,
            help="default: available",
        )
        state.add_argument("--failed", action="store_true", help="uploads that failed, with the reason")
        parser.add_argument("--purpose", help="only files of this purpose")
        parser.add_argument("--name", help="only files whose name contains this")
        parser.add_argument(
            "--prefix", metavar="BUCKET/FOLDER/", help="only objects whose bucket and key begin with this"
        )
        parser.add_argument("--key", metavar="KEY", help="only what this API key uploaded: name or beginning")
        parser.add_argument("--older-than", type=lifetime, metavar="TIME", help="such as 12h, 90d or 8w")
        parser.add_argument(
            "--expires-before", type=moment, metavar="TIME", help="such as 7d from now, or 2026-12-31"
        )
        parser.add_argument(
            "--sort", choices=_SORTS, default="created", help="newest, largest, soonest, by name"
        )
        parser.add_argument("--reverse", action="store_true", help="the other way round")
        parser.add_argument("--ids", action="store_true", help="print ids alone, for other commands")
        parser.add_argument(
            "--limit", type=count, help=f"how many; 0 for all; default {_LISTED_ROWS}, with --ids all"
        )

    def list_files(self, arguments: Namespace) -> None:
        """Print a page of the index."""
        limit = arguments.limit
        if limit is None:
            limit = 0 if arguments.ids else _LISTED_ROWS
        order = (_REVERSED if arguments.reverse else _SORTS)[arguments.sort]
        files = _wanted(arguments).select_related("organization", "account__organization").order_by(*order)
        rows = (files[:limit] if limit else files).iterator(chunk_size=1_000)
        if arguments.json:
            write_json_list(self.stdout, map(file_record, rows))
            return
        if arguments.ids:
            for file in rows:
                self.stdout.write(file.file_id)
            return
        headers = ["ID", "NAME", "SIZE", "PURPOSE", "STATE", "ACCOUNT", "ORGANIZATION", "CREATED", "EXPIRES"]
        as_row = _as_row
        if arguments.failed:
            headers, as_row = [*headers[:-1], "REASON"], _as_failed_row
        number = write_table(self.stdout, headers, map(as_row, rows))
        if not number:
            self.say("No file matches.")
        elif number == limit:
            self.say(f"The first {number} are shown; --limit shows more.")


def _wanted(arguments: Namespace) -> FileQuerySet:
    files = selected_files(arguments)
    state = FileState.FAILED.value if arguments.failed else arguments.state
    if state != "all":
        files = files.filter(state=state)
    if arguments.purpose:
        files = files.filter(purpose=arguments.purpose)
    if arguments.name:
        files = files.filter(filename__icontains=arguments.name)
    if arguments.prefix:
        within = FileCopy.objects.filter(remote_id__startswith=arguments.prefix)
        files = files.filter(pk__in=within.values("file"))
    if arguments.key:
        files = files.filter(api_key__in=_keys(arguments.key))
    if arguments.older_than:
        files = files.filter(created_at__lt=timezone.now() - arguments.older_than)
    if arguments.expires_before:
        files = files.filter(expires_at__lt=arguments.expires_before)
    return files


def _keys(reference: str) -> list[int]:
    """Return the keys of that name or beginning, also revoked ones: what they uploaded is still there."""
    keys = ApiKey.objects.filter(Q(name=reference) | Q(prefix=reference[:12]))
    if found := list(keys.values_list("pk", flat=True)):
        return found
    raise InvalidRequestError(
        f"There is no key '{reference[:64]}'. `manage.py keys list --all` shows names and first characters."
    )


def _as_row(file: File) -> tuple[Any, ...]:
    return (
        file.file_id,
        file.filename,
        short_bytes(file.bytes),
        file.purpose,
        file.state,
        file.account.full_name,
        file.organization.name,
        file.created_at,
        file.expires_at or "never",
    )


def _as_failed_row(file: File) -> tuple[Any, ...]:
    return (*_as_row(file)[:-1], file.failure)
