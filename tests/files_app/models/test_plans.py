"""On PostgreSQL, whatever is asked of a large table reads the index that is for it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.admin.sites import site
from django.contrib.auth import get_user_model
from django.db import connection, transaction
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import DjangoDbBlocker

import files_app.admin.pages_of_models  # noqa: F401 - else no page is registered
from benchmarks.growth.fill import Size, fill
from files_app.admin.search import PARTS_INDEX, search_files
from files_app.models import AuditEvent, File, FileCopy, Organization, RetentionRule
from files_app.services.deletes import expiry, purging, queue, tombstones
from files_app.services.index.callers import system_caller
from files_app.services.index.metering.history import came_and_went, changes
from files_app.services.index.metering.storage import held_by_account, settle_usage
from files_app.services.index.usage import actual_usage
from files_app.services.operations.attention import attention
from files_app.services.operations.overview import overview
from files_app.services.reading.folders import list_folder
from files_app.services.reading.listing import FileFilters, FileSelection, PageQuery, page_of
from files_app.services.reading.lookup import find_file
from files_app.services.retention.enforcement import Going, preview
from files_app.services.tenants.keys import create_key
from files_app.services.tenants.staff import EVERYTHING
from files_app.services.uploads.failure import give_up_stuck
from tests.files_app.client import ApiClient
from tests.files_app.pooled import other_database
from tests.servers import PostgreSQL

#: Those that have the order of lists; where an organization has half of all files, either is as good.
IN_ORDER = ("file_by_organization", "file_newest")
OF_ONE = ("file_by_organization", "one_live_file_of_an_id")
#: What stands before a question whose rows are fetched a few at a time.
CURSOR = re.compile(r"\ADECLARE .*? CURSOR WITH(OUT)? HOLD FOR ")
LARGE = ("files_app_file", "files_app_filecopy", "files_app_auditevent")


@pytest.fixture(scope="module")
def full_index(
    postgresql: PostgreSQL, django_db_blocker: DjangoDbBlocker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    url = postgresql.create_gateway_database("plans")
    with django_db_blocker.unblock():
        fill(url, Size(files=30_000, organizations=200))
        with other_database(url):
            get_user_model().objects.create_superuser("root", password=None)
            yield


def plans(ask: Callable[[], Any]) -> str:
    """Run something and return the plans of its questions to the large tables."""
    with CaptureQueriesContext(connection) as queries:
        ask()
    asked = [CURSOR.sub("", query["sql"]) for query in queries]
    asked = [sql for sql in asked if sql.startswith(("SELECT", "(SELECT"))]
    with connection.cursor() as cursor:
        found = []
        for sql in asked:
            if any(f'"{table}"' in sql for table in LARGE):
                cursor.execute(f"EXPLAIN {sql}")
                found += [str(row[0]) for row in cursor.fetchall()]
    assert found
    return "\n".join(found)


def check(ask: Callable[[], Any], *indexes: str) -> None:
    """Fail unless the plans have one of the indexes, and read no large table as a whole."""
    plan = plans(ask)
    assert any(index in plan for index in indexes), plan
    check_scans(plan)


def check_scans(plan: str) -> None:
    assert not [line for line in plan.splitlines() if "Seq Scan on " in line and _is_large(line)], plan


def _is_large(line: str) -> bool:
    return line.split("Seq Scan on ")[1].split()[0] in LARGE


def half() -> Organization:
    return Organization.objects.get(name="growth-1")


def some_file() -> File:
    return File.objects.for_organization(half()).live().filter(metadata__has_key="run").order_by("pk")[100]


def listed(**filters: Any) -> Callable[[], Any]:
    selection = FileSelection(half().pk, filters=FileFilters(**filters))
    return lambda: page_of(selection, PageQuery(limit=20))


@pytest.mark.usefixtures("full_index")
@pytest.mark.parametrize(
    ("filters", "indexes"),
    [
        (lambda file: {}, IN_ORDER),
        (lambda file: {"purpose": "batch"}, ("file_by_purpose", *IN_ORDER)),
        (lambda file: {"purpose": "nothing"}, "file_by_purpose"),
        (lambda file: {"filename": file.filename}, "file_by_name"),
        (lambda file: {"filename": "nobody.txt"}, "file_by_name"),
        (lambda file: {"status": "error"}, "file_by_status"),
        (lambda file: {"status": "uploaded"}, ("file_by_status", "file_unfinished")),
        (lambda file: {"status": "processed"}, IN_ORDER),
        (lambda file: {"metadata": {"run": file.metadata["run"]}}, "file_by_metadata"),
        (lambda file: {"metadata": {"run": "none"}}, "file_by_metadata"),
        (lambda file: {"metadata": {"env": "prod"}}, IN_ORDER),
    ],
)
def test_a_list_reads_the_index_of_its_filter(
    filters: Callable[[File], Any], indexes: str | tuple[str, ...]
) -> None:
    names = (indexes,) if isinstance(indexes, str) else indexes
    check(listed(**filters(some_file())), *names)


@pytest.mark.usefixtures("full_index")
@pytest.mark.parametrize("name", ["created_before", "created_after"])
def test_times_bound_what_of_the_index_is_read(name: str) -> None:
    plan = plans(listed(**{name: timezone.now() - timedelta(days=200)}))
    condition = next(line for line in plan.splitlines() if "Index Cond" in line)
    assert "indexed_at" in condition


@pytest.mark.usefixtures("full_index")
def test_a_page_begins_where_the_index_has_its_cursor() -> None:
    query = PageQuery(limit=20, after=some_file().file_id)
    plan = plans(lambda: page_of(FileSelection(half().pk), query))
    assert "file_by_id" in plan
    assert [line for line in plan.splitlines() if "Index Cond" in line and "indexed_at" in line]


@pytest.mark.usefixtures("full_index")
@pytest.mark.parametrize(
    ("term", "index"),
    [
        (lambda file: file.file_id, "file_by_id"),
        (lambda file: "file-nobody-has", "copy_anywhere"),
        (lambda file: file.sha256, "file_by_sha256"),
        (lambda file: file.filename[9:25], PARTS_INDEX),
        (lambda file: f"run={file.metadata['run']}", "file_by_metadata"),
    ],
)
def test_a_search_of_the_admin_reads_an_index(term: Callable[[File], str], index: str) -> None:
    wanted, rows = term(some_file()), File.objects.newest_first()
    check(lambda: list(search_files(rows, wanted, EVERYTHING)[:50]), index)


def changelist(model: Any, query: dict[str, str]) -> Callable[[], Any]:
    request = RequestFactory().get("/admin/", query)
    request.user = get_user_model().objects.get(username="root")
    return lambda: list(site.get_model_admin(model).get_changelist_instance(request).result_list)


@pytest.mark.usefixtures("full_index")
@pytest.mark.parametrize(
    ("model", "query", "index"),
    [
        (File, {}, "file_newest"),
        (File, {"o": "-5"}, "file_by_size"),
        (File, {"o": "5"}, "file_by_size"),
        (File, {"o": "8", "expiry": "some"}, "file_expiry"),
        (File, {"o": "-8", "expiry": "some"}, "file_expiry"),
        (File, {"by": "key-1"}, "file_by_key"),
        (File, {"by": "person-nobody"}, "file_by_person"),
        (File, {"by": "key-1", "state": "failed"}, "file_by_key"),
        (File, {"since": "2026-01-01", "until": "2026-01-02"}, "file_newest"),
        (File, {"q": "req_none"}, "audit_by_request"),
        (File, {"state": "all"}, "file_newest"),
        (File, {"state": "failed"}, "file_by_state"),
        (File, {"purpose": "vision"}, "file_by_purpose"),
        (File, {"origin": "adopted"}, "file_adopted"),
        (File, {"expiry": "day"}, "file_expiry"),
        (File, {"expiry": "week"}, "file_expiry"),
        (FileCopy, {}, "copy_state"),
        (AuditEvent, {"q": "nobody"}, "audit_by_actor"),
        (AuditEvent, {"q": "req_none"}, "audit_by_request"),
        (AuditEvent, {"q": "192.0.2.1"}, "audit_by_address"),
        (AuditEvent, {"result": "failed"}, "audit_not_ok"),
        (AuditEvent, {"actor_type": "user"}, "audit_by_actor_type"),
        (AuditEvent, {"action": "file.verify"}, "audit_by_action"),
    ],
)
def test_a_list_of_the_admin_reads_an_index(model: Any, query: dict[str, str], index: str) -> None:
    check(changelist(model, query), index)


def beyond_a_rule(days: int) -> list[Going]:
    """Return what a rule for one of many organizations would end."""
    organization = Organization.objects.get(name="growth-7")
    return preview([RetentionRule(organization=organization, longest_life_seconds=days * 86_400)])


@pytest.mark.usefixtures("full_index")
@pytest.mark.parametrize("prefix", ["", "bucket/", "bucket/2026/"])
def test_a_folder_reads_its_stretch_of_keys(prefix: str) -> None:
    copies = FileCopy.objects.filter(account=some_file().account_id)
    check(lambda: list_folder(copies, prefix), "copy_by_key")


@pytest.mark.usefixtures("full_index")
@pytest.mark.parametrize(
    ("work", "indexes"),
    [
        (lambda: find_file(half().pk, some_file().file_id, None), "file_by_id"),
        (lambda: give_up_stuck(200), ("file_upload_lease", "file_by_state")),
        (expiry.expire_files, "file_expiry"),
        (purging.empty_trash, ("file_trash", "file_by_state")),
        (lambda: beyond_a_rule(90), ("file_by_organization", *IN_ORDER)),
        (queue.deliver_due, ("copy_due_by_account", "copy_state")),
        (tombstones.prune_tombstones, "copy_unlisted"),
        (lambda: actual_usage(Organization.objects.get(name="growth-7")), OF_ONE),
        (
            lambda: AuditEvent.objects.prune(timezone.now() - timedelta(days=500)),
            "files_app_auditevent_created_at",
        ),
    ],
)
def test_background_work_reads_an_index(work: Callable[[], Any], indexes: str | tuple[str, ...]) -> None:
    check(work, *((indexes,) if isinstance(indexes, str) else indexes))


@pytest.mark.usefixtures("full_index")
def test_an_upload_reads_indexes_whatever_its_values_are() -> None:
    _, key = create_key(organization=half(), name="plans", caller=system_caller())
    connection.close_pool()  # another session prepares the statements anew
    with CaptureQueriesContext(connection) as queries:
        ApiClient(key).create()
    preparing = [query["sql"] for query in queries if query["sql"].startswith("PREPARE ")]
    assert len(preparing) == 2
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "; ".join(["DEALLOCATE ALL", "SET LOCAL plan_cache_mode = force_generic_plan", *preparing])
        )
        cursor.execute("SELECT name, cardinality(parameter_types) FROM pg_prepared_statements")
        for name, places in cursor.fetchall():
            cursor.execute(f"EXPLAIN EXECUTE {name}({', '.join(['NULL'] * places)})")
            check_scans("\n".join(row[0] for row in cursor.fetchall()))
        cursor.execute("DEALLOCATE ALL")
    connection.close_pool()


@pytest.mark.usefixtures("full_index")
def test_what_came_and_went_is_found_by_when_it_did() -> None:
    begin, end = timezone.now() - timedelta(hours=2), timezone.now()
    plan = plans(lambda: list(came_and_went_of(begin, end)))
    for index in ("file_newest", "file_came", "file_went"):
        assert index in plan, plan
    check(lambda: list(changes(begin, end)), "file_newest")
    check(lambda: list(changes(begin, end, organization=half().pk)), "file_newest", "file_by_organization")


def came_and_went_of(begin: datetime, end: datetime) -> Iterator[Any]:
    for part in came_and_went(begin, end):
        yield from part.values_list("pk")


@pytest.mark.usefixtures("full_index")
def test_bills_and_the_overview_read_what_is_kept_and_what_is_new() -> None:
    settle_usage()
    check(settle_usage, "file_newest")
    check(lambda: held_by_account(EVERYTHING.limit), "file_newest")
    check(lambda: overview(EVERYTHING), "file_newest", "file_by_state")


@pytest.mark.usefixtures("full_index")
def test_what_needs_attention_reads_indexes_whatever_a_quota_is() -> None:
    with transaction.atomic():
        Organization.objects.filter(name="growth-7").update(quota_bytes=2**63 - 1, max_files=2**63 - 1)
        check(lambda: attention(EVERYTHING), "file_by_state", "file_newest", "copy_state")
        transaction.set_rollback(True)


@pytest.mark.usefixtures("full_index")
def test_a_foreign_key_without_an_index_of_its_own_is_the_beginning_of_another() -> None:
    with connection.cursor() as cursor:
        for table in LARGE:
            found = connection.introspection.get_constraints(cursor, table)
            keys = {each["columns"][0] for each in found.values() if each["foreign_key"]} - {"api_key_id"}
            begins = {each["columns"][0] for each in found.values() if each["index"] and each["columns"]}
            assert keys <= begins, table
