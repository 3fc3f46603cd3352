"""Files in the admin: actions, preview, download, upload, export, and how many queries a list costs."""

from __future__ import annotations

import csv
import io
import json
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from pytest_django.fixtures import DjangoAssertNumQueries

from files_app.admin import filters, search
from files_app.admin.exports import harmless
from files_app.admin.filters import OF_NEWEST
from files_app.admin.paginator import MAX_COUNTED, CappedPaginator
from files_app.models import AuditEvent, CopyState, DeletedReason, File, FileCopy, FileState
from files_app.services.upstream.lost import mark_lost
from providers.objects import RemoteFile
from tests.files_app.admin.conftest import World, body_of, store
from tests.files_app.admin.demo import picture
from tests.files_app.batches import MODELS, chat_lines
from tests.files_app.cast import make_account
from tests.files_app.rows import force

LIST = "admin:files_app_file_changelist"
HOSTILE = '"><img src=x onerror=alert(1)>.txt'


def act(client: Client, action: str, *files: File, **data: str) -> bytes:
    given = {"action": action, "_selected_action": [file.pk for file in files], "confirmed": "1", **data}
    return body_of(client.post(reverse(LIST), given))


def found(client: Client, **question: str) -> list[str]:
    page = client.get(reverse(LIST), question)
    assert page.status_code == 200
    return [row.filename for row in page.context["cl"].result_list]


# -- the list ----------------------------------------------------------------------------------------


def test_search_finds_by_everything_that_names_a_file(root: Client, own: World, foreign: World) -> None:
    file = own.file
    for term in (file.file_id, own.copy.remote_id, file.sha256.upper(), "ours-fi", "team=ours-team"):
        expected = (
            ["ours-file.txt"] if term != file.sha256.upper() else ["zzforeign-file.txt", "ours-file.txt"]
        )
        assert found(root, q=term) == expected, term
    assert found(root, q="nothing like it") == []


def test_filters_narrow_the_list(root: Client, own: World, foreign: World) -> None:
    assert found(root, organization=str(own.organization.pk), state="available") == ["ours-file.txt"]
    assert found(root, account=str(own.account.pk), state="deleting") == ["ours-gone.txt"]
    assert found(root, purpose="batch") == []
    assert found(root, expiry="never", state="available", organization=str(own.organization.pk))
    today = timezone.now()
    period = {"indexed_at__year": str(today.year), "indexed_at__month": str(today.month)}
    assert len(found(root, **period, state="all")) == 6
    assert found(root, **{**period, "indexed_at__year": "1999"}) == []


@pytest.mark.parametrize("parameter", ["organization", "account"])
def test_a_filter_by_nonsense_finds_nothing(root: Client, own: World, parameter: str) -> None:
    assert found(root, **{parameter: "x' or 1=1"}) == []


def test_facets_count_each_choice_under_the_other_filters(root: Client, own: World, foreign: World) -> None:
    address = reverse("admin:files_app_file_facets")
    question = {"organization": str(own.organization.pk), "state": "available"}
    counts = root.get(address, question).json()
    assert counts["state"] == {"available": 1, "deleting": 1, "trashed": 1}
    assert counts["organization"] == {str(own.organization.pk): 1, str(foreign.organization.pk): 1}
    assert counts["purpose"] == {"user_data": 1}


def test_counting_stops_at_a_limit(own: World) -> None:
    rows = [
        File(organization=own.organization, account=own.account, file_id=f"f{number}", state=FileState.FAILED)
        for number in range(MAX_COUNTED + 5)
    ]
    File.objects.bulk_create(rows, batch_size=500)
    paginator = CappedPaginator(File.objects.order_by("-indexed_at"), 50)
    assert (paginator.count, paginator.is_capped, paginator.num_pages) == (MAX_COUNTED, True, 200)
    assert CappedPaginator(File.objects.filter(state="available").order_by("pk"), 50).is_capped is False


@pytest.mark.parametrize(
    ("view", "most"),
    [
        (LIST, 10),
        ("admin:files_app_filecopy_changelist", 9),
        ("admin:files_app_auditevent_changelist", 8),
        ("admin:files_app_apikey_changelist", 8),
        ("admin:files_app_provideraccount_changelist", 8),
        ("admin:files_app_organization_changelist", 7),
    ],
)
def test_a_list_costs_the_same_queries_whatever_its_length(
    root: Client,
    own: World,
    foreign: World,
    view: str,
    most: int,
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    for number in range(30):
        file = store(own.organization, f"number {number}".encode())
        if number % 2:
            force(file.copies, state=CopyState.DELETING, next_attempt_at=timezone.now())
    with django_assert_max_num_queries(most):
        assert root.get(reverse(view)).status_code == 200


# -- one file ----------------------------------------------------------------------------------------


def test_the_page_of_a_file_tells_its_whole_story(root: Client, own: World) -> None:
    page = root.get(reverse("admin:files_app_file_change", args=[own.file.pk])).content.decode()
    for fact in (
        own.file.file_id,
        own.file.sha256,
        own.copy.remote_id,
        "ours-team",
        "file.create",
        "file.recheck",
    ):
        assert fact in page, fact
    dead = root.get(reverse("admin:files_app_file_change", args=[own.dead.file_id])).content.decode()
    assert "ours-error" in dead and "Give up" in dead


def test_hostile_names_stay_text_everywhere(root: Client, own: World) -> None:
    file = store(own.organization, b"<script>alert(1)</script>\n", filename=HOSTILE)
    File.objects.filter(pk=file.pk).update(
        metadata={HOSTILE: HOSTILE}, failure=HOSTILE, content_type=HOSTILE, status_details=HOSTILE
    )
    force(FileCopy.objects.filter(file=file), last_error=HOSTILE, state=CopyState.DEAD)
    force(FileCopy.objects.filter(file=file), state=CopyState.AVAILABLE)
    page = reverse("admin:files_app_file_change", args=[file.pk])
    preview = reverse("admin:files_app_file_preview", args=[file.pk])
    answers = [root.get(page), root.get(reverse(LIST)), root.get("/admin/"), root.post(preview)]
    answers += [root.post(reverse(LIST), {"action": "delete_files", "_selected_action": [file.pk]})]
    for answer in answers:
        body = answer.content.decode()
        assert "<img src=x" not in body and "<script>alert" not in body


def test_a_preview_shows_the_first_lines_with_numbers(root: Client, own: World) -> None:
    content = b"".join(b"line %d\n" % number for number in range(4_000))
    file = store(own.organization, content, filename="long.txt")
    answer = root.post(reverse("admin:files_app_file_preview", args=[file.pk]))
    preview = answer.context["preview"]
    assert preview.lines[:2] == ("line 0", "line 1") and preview.is_cut
    assert sum(len(line) + 1 for line in preview.lines) <= 16 * 1024 + 1
    assert AuditEvent.objects.filter(action="file.content", actor="root", object_id=file.file_id).count() == 1


def test_a_picture_is_shown_through_an_attachment_and_anything_else_is_not(root: Client, own: World) -> None:
    image = store(own.organization, picture(8, 8), filename="a.png", content_type="text/html")
    page = root.post(reverse("admin:files_app_file_preview", args=[image.pk]))
    assert page.context["preview"].kind == "image"
    answer = root.get(reverse("admin:files_app_file_image", args=[image.pk]))
    assert answer.headers["Content-Type"] == "image/png"
    assert answer.headers["Content-Disposition"].startswith("attachment")
    assert answer.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert body_of(answer) == picture(8, 8)
    vector = b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>'
    drawing = store(own.organization, vector, filename="a.svg", content_type="image/svg+xml")
    assert root.get(reverse("admin:files_app_file_image", args=[drawing.pk])).status_code == 415


def test_binary_content_is_not_shown(root: Client, own: World) -> None:
    file = store(own.organization, bytes(range(256)) * 4, filename="blob.bin")
    assert (
        root.post(reverse("admin:files_app_file_preview", args=[file.pk])).context["preview"].kind == "binary"
    )


def test_a_character_that_is_cut_at_the_end_does_not_spoil_the_text(root: Client, own: World) -> None:
    file = store(own.organization, "é".encode() * 4_000 + b"x", filename="accents.txt")
    assert (
        root.post(reverse("admin:files_app_file_preview", args=[file.pk])).context["preview"].kind == "text"
    )


def test_a_download_is_an_audited_attachment(root: Client, own: World) -> None:
    answer = root.post(reverse("admin:files_app_file_download", args=[own.file.pk]))
    assert body_of(answer) == b"line one\nline two\n"
    assert answer.headers["Content-Disposition"].startswith("attachment")
    assert AuditEvent.objects.get(action="file.content").actor == "root"
    assert root.get(reverse("admin:files_app_file_download", args=[own.file.pk])).status_code == 405


# -- actions -----------------------------------------------------------------------------------------


def test_an_action_asks_before_it_acts(root: Client, own: World) -> None:
    answer = root.post(reverse(LIST), {"action": "delete_files", "_selected_action": [own.file.pk]})
    assert b"cannot be undone" in answer.content
    own.file.refresh_from_db()
    assert own.file.state == FileState.AVAILABLE


def test_delete_goes_through_the_service_and_tells_each_result(root: Client, own: World) -> None:
    gone = File.objects.get(pk=own.dead.file_id)
    body = act(root, "delete_files", own.file, gone)
    assert b"1 of 2 done" in body and b"this one is deleting" in body
    own.file.refresh_from_db()
    assert (own.file.state, own.file.deleted_reason) == (FileState.DELETING, DeletedReason.ADMIN)
    event = AuditEvent.objects.get(action="file.delete", actor="root")
    assert event.details == {"reason": "admin"}


def test_expiry_is_set_and_taken_away(root: Client, own: World) -> None:
    when = timezone.now() + timedelta(days=2)
    act(root, "set_expiry", own.file, expires_at_0=f"{when:%Y-%m-%d}", expires_at_1=f"{when:%H:%M}")
    own.file.refresh_from_db()
    assert own.file.expires_at is not None and abs(own.file.expires_at - when) < timedelta(minutes=1)
    act(root, "set_expiry", own.file, never="on")
    own.file.refresh_from_db()
    assert own.file.expires_at is None
    assert b"has to be in the future" in act(
        root, "set_expiry", own.file, expires_at_0="2001-01-01", expires_at_1="00:00"
    )
    assert b"Choose a time, or never" in act(root, "set_expiry", own.file)


def test_a_recheck_finds_what_the_provider_lost(root: Client, own: World) -> None:
    assert b"has it, status processed" in act(root, "recheck", own.file)
    from files_app.services.accounts.drivers import driver_for

    driver_for(own.account).delete_file(own.copy.remote_id)
    assert b"too young to be called lost" in act(root, "recheck", own.file)
    File.objects.update(indexed_at=timezone.now() - timedelta(minutes=16))
    assert b"if a check in a minute" in act(root, "recheck", own.file)
    FileCopy.objects.update(missing_since=timezone.now() - timedelta(minutes=1))
    assert b"marked as lost" in act(root, "recheck", own.file)
    own.file.refresh_from_db()
    assert own.file.state == FileState.LOST


def test_a_recheck_takes_a_lost_file_back(root: Client, own: World) -> None:
    mark_lost(own.copy)
    assert b"has it again" in act(root, "recheck", own.file)
    own.file.refresh_from_db()
    assert (own.file.state, own.copy.state) == (FileState.AVAILABLE, CopyState.AVAILABLE)


def test_the_queue_of_deletes_begins_with_the_dead_and_names_what_it_lists(root: Client, own: World) -> None:
    waiting = store(own.organization, filename="waiting.txt")
    force(waiting.copies, state=CopyState.DELETING)
    queue = reverse("admin:files_app_filecopy_changelist")
    listed = root.get(queue).context["cl"].result_list
    assert [copy.file.filename for copy in listed] == ["ours-gone.txt", "waiting.txt"]
    asked = root.post(
        queue, {"action": "retry_deletions", "_selected_action": [own.dead.pk]}
    ).content.decode()
    assert f"ours-gone.txt ({own.dead.file.file_id}) at ours-account" in asked


def test_deletions_are_retried_and_given_up_with_a_reason(root: Client, own: World) -> None:
    queue = reverse("admin:files_app_filecopy_changelist")
    data = {"_selected_action": [own.dead.pk], "confirmed": "1"}
    root.post(queue, {**data, "action": "retry_deletions"})
    own.dead.refresh_from_db()
    assert (own.dead.state, own.dead.attempts) == (CopyState.DELETING, 0)
    assert b"This field is required" in root.post(queue, {**data, "action": "give_up_deletions"}).content
    root.post(queue, {**data, "action": "give_up_deletions", "reason": "account closed"})
    own.dead.refresh_from_db()
    assert own.dead.state == CopyState.DELETED
    assert AuditEvent.objects.get(action="delete.give_up").details == {"reason": "account closed"}


def test_too_many_rows_are_refused_before_anything_happens(root: Client, own: World) -> None:
    files = [store(own.organization, f"{number}".encode()) for number in range(51)]
    assert b"At most 50 at a time" in act(root, "recheck", *files)
    assert not AuditEvent.objects.filter(action="file.recheck", actor="root").exists()


# -- exports -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "start",
    [
        *("=", "+", "-", "@", "\t", "\r", "\n", " ="),
        *("\uff1d", "\uff0b", "\uff0d", "\uff20", "\u2212", "\ufe62"),  # full-width, small, mathematical
        *("\u3000=", "\ufeff=", "\u200b\uff1d", "\xa0-"),  # behind what nobody sees
    ],
)
def test_no_cell_of_an_export_is_a_formula(start: str) -> None:
    assert str(harmless(f"{start}HYPERLINK(1)")).startswith("'")


@pytest.mark.parametrize("text", ["", "a=1", "2024-01-01", "\u00fcbersicht.csv", "(x)"])
def test_other_cells_of_an_export_stay(text: str) -> None:
    assert harmless(text) == text


def test_selected_and_matching_files_are_exported(root: Client, own: World, foreign: World) -> None:
    file = store(own.organization, b"x", filename="=cmd|calc.csv")
    rows = list(csv.DictReader(io.StringIO(act(root, "export_csv", file, own.file).decode())))
    assert {row["filename"] for row in rows} == {"'=cmd|calc.csv", "ours-file.txt"}
    question = {"organization": str(own.organization.pk), "state": "available"}
    body = body_of(root.get(reverse("admin:files_app_file_export"), {**question, "format": "jsonl"}))
    lines = [json.loads(line) for line in body.splitlines()]
    assert [line["filename"] for line in lines] == ["=cmd|calc.csv", "ours-file.txt"]
    audit = body_of(root.get(reverse("admin:files_app_auditevent_export"), {"action": "file.recheck"}))
    assert audit.count(b"\n") == 3


# -- upload ------------------------------------------------------------------------------------------


def send_address(world: World, **parameters: str) -> str:
    given = {"organization": str(world.organization.pk), "purpose": "user_data", "filename": "dropped.txt"}
    pairs = "&".join(f"{name}={value}" for name, value in {**given, **parameters}.items())
    return f"{reverse('admin:upload_send')}?{pairs}"


def test_an_upload_streams_through_the_service(root: Client, own: World) -> None:
    answer = root.put(
        send_address(own, expires_after_seconds="3600"), b"dropped bytes", content_type="text/plain"
    )
    assert answer.status_code == 200, answer.content
    file = File.objects.get(filename="dropped.txt")
    assert answer.json()["link"] == reverse("admin:files_app_file_change", args=[file.pk])
    assert (file.bytes, file.state) == (13, FileState.AVAILABLE)
    assert file.expires_at is not None
    assert AuditEvent.objects.get(object_id=file.file_id).actor == "root"
    own.organization.refresh_from_db()
    assert own.organization.reserved_bytes == 0


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"purpose": "nonsense"}, "nonsense"),
        ({"purpose": "batch", "filename": "a.txt"}, ".jsonl"),
        ({"account": "unknown"}, "There is no provider account"),
        ({"organization": "77777"}, "Choose an organization"),
        ({"expires_after_seconds": "5"}, "after 3,600 s (1 h) to 2,592,000 s (30 d)"),
    ],
)
def test_an_upload_is_refused_in_the_words_of_the_api(
    root: Client, own: World, parameters: dict[str, str], words: str
) -> None:
    answer = root.put(send_address(own, **parameters), b"{}\n", content_type="text/plain")
    assert answer.status_code == 400
    assert words in answer.json()["error"]
    own.organization.refresh_from_db()
    assert own.organization.reserved_bytes == 0


def test_the_page_of_a_batch_file_shows_what_a_job_is_given(root: Client, own: World) -> None:
    batch = {
        "format": "bedrock-converse",
        "uri": "s3://bucket/files/batch/<b>x</b>.jsonl",
        "records": 7,
        "model": "amazon.nova-lite-v1:0",
        "output_uri": "s3://bucket/files/results/x/",
        "warnings": ["The file has 7 records and a job needs 100."],
    }
    File.objects.filter(pk=own.file.pk).update(batch=batch)
    shown = body_of(root.get(reverse("admin:files_app_file_change", args=[own.file.pk]))).decode()
    assert "s3://bucket/files/batch/&lt;b&gt;x&lt;/b&gt;.jsonl" in shown
    assert "<b>x</b>" not in shown
    assert "s3://bucket/files/results/x/" in shown
    assert "7 of bedrock-converse, for amazon.nova-lite-v1:0<br>The file has 7 records" in shown


def answer_of(asked: File, world: World, part: str) -> File:
    """Index a file that a job made of another one."""
    remote = RemoteFile(
        f"result-of-{world.mark}-{part}",
        filename=f"march_{part}.jsonl",
        purpose="batch_output",
        batch={
            "input_file_id": asked.file_id,
            "part": part,
            "counts": {"total": 1200, "completed": 1199, "failed": 1},
        },
    )
    return File.objects.index(
        remote,
        file_id=f"file-{world.mark}-{part}",
        organization_id=world.organization.pk,
        account=asked.account,
        is_adopted=True,
        result_part=part,
    )


def test_the_files_of_one_batch_lead_to_each_other(root: Client, own: World, foreign: World) -> None:
    asked = store(own.organization, chat_lines("gpt-4o"), filename="march.jsonl", purpose="batch")
    output, errors = answer_of(asked, own, "output"), answer_of(asked, own, "errors")
    strangers = answer_of(asked, foreign, "output")

    def others(file: File) -> set[File]:
        page = root.get(reverse("admin:files_app_file_change", args=[file.pk]))
        body = body_of(page)
        linked = set(page.context["batch"])
        assert all(reverse("admin:files_app_file_change", args=[one.pk]).encode() in body for one in linked)
        return linked

    assert others(asked) == {output, errors}
    assert others(output) == {asked, errors}
    assert others(errors) == {asked, output}
    assert others(strangers) == set()
    assert others(own.file) == set()
    page = body_of(root.get(reverse("admin:files_app_file_change", args=[output.pk])))
    assert b"1,199 of 1,200, 1 failed" in page


def test_an_upload_that_is_only_checked_stores_nothing(root: Client, own: World) -> None:
    nowhere = {"bucket": "nobodys", "endpoint_url": "http://127.0.0.1:9"}
    make_account(own.organization, "bucket", "vertex", options=nowhere)
    lines = {"purpose": "batch", "filename": "in.jsonl", "account": "bucket", "validate_only": "true"}
    before = File.objects.count()
    answer = root.put(
        send_address(own, **lines, model=MODELS["vertex"]), chat_lines(None), content_type="text/plain"
    )
    assert answer.status_code == 200, answer.content
    found = answer.json()
    assert (found["batch"]["model"], found["batch"]["records"]) == (MODELS["vertex"], 3)
    assert "Question r0" in found["sample"][0]
    refused = root.put(send_address(own, **lines), chat_lines(None), content_type="text/plain")
    assert refused.status_code == 400
    assert "line 1: " in refused.json()["error"]
    assert File.objects.count() == before


def test_an_upload_needs_the_csrf_token(own: World) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.create_superuser("careful"))
    refused = client.put(send_address(own), b"bytes", content_type="text/plain")
    assert refused.status_code == 403
    token = client.get(reverse("admin:upload")).context["csrf_token"]
    accepted = client.put(
        send_address(own), b"bytes", content_type="text/plain", headers={"X-CSRFToken": str(token)}
    )
    assert accepted.status_code == 200


def test_only_put_is_taken(root: Client, own: World) -> None:
    assert root.post(send_address(own), b"bytes", content_type="text/plain").status_code == 405


def test_facets_of_too_many_files_are_those_of_the_newest(
    root: Client, own: World, foreign: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = reverse("admin:files_app_file_facets")
    assert OF_NEWEST not in root.get(address).json()
    monkeypatch.setattr(filters, "MAX_FACET_ROWS", 2)
    monkeypatch.setattr(filters, "NEWEST_FACET_ROWS", 3)
    counts = root.get(address, {"expiry": "never"}).json()
    assert counts[OF_NEWEST] == 3
    assert sum(counts["state"].values()) == 3


def test_an_export_asks_for_no_row_by_itself(root: Client, own: World, foreign: World) -> None:
    address = reverse("admin:files_app_file_export")
    with CaptureQueriesContext(connection) as asked:
        rows = body_of(root.get(address, {"format": "jsonl", "state": "all"})).splitlines()
    assert len(rows) == File.objects.count() > 2
    assert not [
        each["sql"]
        for each in asked
        if '"files_app_organization"."id" = ' in each["sql"] and "JOIN" not in each["sql"]
    ]


def test_a_name_is_found_by_its_beginning_where_its_parts_have_no_index(
    root: Client, own: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert found(root, q="rs-file") == ["ours-file.txt"]
    monkeypatch.setattr(search, "finds_parts_of_names", lambda: False)
    assert found(root, q="rs-file") == []
    assert found(root, q="ours-fi") == ["ours-file.txt"]
    assert "beginning of a name" in root.get(reverse(LIST)).content.decode()
