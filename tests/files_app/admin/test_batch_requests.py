"""The requests of a batch file: one row each, with status, tokens and error, and the answer beside it."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from celery import current_app
from django.test import Client
from django.urls import reverse

from files_app.models import AuditEvent, File, LineIndex, ResultPart
from files_app.services.reading.line_index import build
from files_app.services.reading.line_pages import Packer
from tests.files_app.admin.conftest import SignIn, World, body_of, store
from tests.files_app.admin.results import answer, as_result, failure
from tests.files_app.batches import chat_line, jsonl

IDS = [f"ticket-{number:03}" for number in range(120)]
BAD = {IDS[7], IDS[77]}


def result_of(world: World, asked: File, part: str, *lines: dict[str, Any]) -> File:
    """Store the lines that a job wrote about `asked`."""
    content = jsonl(*lines)
    made = store(world.organization, content, filename=f"{part}.jsonl")
    return as_result(made, ResultPart(part), asked, content)


@pytest.fixture
def asked(own: World) -> File:
    content = jsonl(*(chat_line(id_, "gpt-4o") for id_ in IDS))
    return store(own.organization, content, filename="march.jsonl", purpose="batch")


@pytest.fixture
def answered(own: World, asked: File) -> File:
    """The input of a batch whose results are there."""
    result_of(own, asked, "output", *(answer(id_) for id_ in reversed(IDS) if id_ not in BAD))
    result_of(own, asked, "errors", *(failure(id_) for id_ in sorted(BAD)))
    return asked


def address(file: File) -> str:
    return reverse("admin:files_app_file_requests", args=[file.pk])


def opened(client: Client, file: File, query: str = "") -> str:
    """Open the requests as the button of the file's page does, and return the page."""
    redirected = client.post(address(file))
    assert redirected.status_code == 302, body_of(redirected).decode()
    return body_of(client.get(redirected["Location"] + query)).decode()


def ids_in(shown: str) -> list[str]:
    return re.findall(r'<code title="([^"]*)">', shown)


def test_each_request_has_a_row_with_how_it_ended(root: Client, answered: File) -> None:
    shown = opened(root, answered)
    assert ids_in(shown) == IDS[:50]
    assert shown.count(">1,234<") == 49
    assert shown.count("too many tokens") == 1
    assert "gpt-4o" in shown
    assert "1&ndash;50 of 120" in shown
    assert ids_in(opened(root, answered, "?p=3")) == IDS[100:]


def test_only_errors_are_shown_and_ids_are_searched(root: Client, answered: File) -> None:
    assert ids_in(opened(root, answered, "?errors=1")) == sorted(BAD)
    assert ids_in(opened(root, answered, "?q=TICKET-07")) == IDS[70:80]
    assert ids_in(opened(root, answered, "?q=ticket-07&errors=1")) == [IDS[77]]
    assert "No request fits" in opened(root, answered, "?q=nobody")


def test_a_result_shows_its_own_rows(root: Client, own: World, answered: File) -> None:
    output = File.objects.get(filename="errors.jsonl")
    assert ids_in(opened(root, output, "?errors=1")) == sorted(BAD)


def test_a_request_stands_beside_its_answer(root: Client, answered: File) -> None:
    opened(root, answered)
    one = reverse("admin:files_app_file_show", args=[answered.pk, 3])
    shown = body_of(root.post(one)).decode()
    assert shown.index("Question ticket-003") < shown.index("fine")
    assert shown.count("<section") == 2
    bad = body_of(root.post(reverse("admin:files_app_file_show", args=[answered.pk, 7]))).decode()
    assert "invalid_request: too many tokens" in bad
    output = File.objects.get(filename="output.jsonl")
    other = body_of(root.post(reverse("admin:files_app_file_show", args=[output.pk, 0]))).decode()
    assert other.index("Question ticket-119") < other.index("fine")


def test_hostile_content_stays_text(root: Client, own: World) -> None:
    evil = "<script>alert(1)</script>\u202e'\"&"
    asked = store(own.organization, jsonl(chat_line(evil, evil)), filename="e.jsonl", purpose="batch")
    result_of(own, asked, "errors", failure(evil, evil))
    result_of(own, asked, "output", answer("other", evil))
    page = opened(root, asked)
    piece = body_of(root.post(reverse("admin:files_app_file_show", args=[asked.pk, 0]))).decode()
    for shown in (page, piece, opened(root, asked, "?q=<script>alert(1)")):
        assert "<script>alert" not in shown
        assert "&lt;script&gt;alert(1)" in shown


@pytest.mark.parametrize(
    "line",
    [
        b"\x00\xff\xfe",
        b'{"custom_id": "\\ud800", "body": {"model": "\\ud800"}}',
        b'{"custom_id": 5, "response": 7, "error": []}',
        b"[" * 5_000,
        b'{"custom_id": "r", "response": {"status_code": "x", "body": {"usage": [], "choices": {}}}}',
        b'{"custom_id": "r", "body": {"messages": {"a": 1}, "model": ["x"], "input": [[1], null]}}',
        b'{"custom_id": "r", "body": []}',
        b'{"recordId": "r", "modelOutput": null}',
    ],
)
def test_a_line_of_any_content_has_a_row_and_a_page(root: Client, own: World, line: bytes) -> None:
    file = store(own.organization, line + b"\n", filename="odd.jsonl")
    File.objects.filter(pk=file.pk).update(purpose="batch")
    assert 'id="request-0"' in opened(root, file)
    answer = root.post(reverse("admin:files_app_file_show", args=[file.pk, 0]))
    assert answer.status_code == 200
    assert b"fg-code" in body_of(answer)


def test_the_page_is_there_before_the_whole_file_is_read(
    root: Client, own: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(current_app, "send_task", lambda name, **_: None)
    lines = (chat_line(f"r{number}", "m", user="u" * 1_000) for number in range(1_500))
    file = store(own.organization, jsonl(*lines), filename="large.jsonl", purpose="batch")
    shown = opened(root, file)
    assert ids_in(shown) == [f"r{number}" for number in range(50)]
    assert "data-refresh" in shown
    assert 'type="search" name="q"' not in shown
    build(LineIndex.objects.get().pk)
    shown = body_of(root.get(address(file) + "?p=30")).decode()
    assert ids_in(shown) == [f"r{number}" for number in range(1_450, 1_500)]
    assert "data-refresh" not in shown


def test_a_look_asks_no_provider_and_is_audited_once(
    root: Client, answered: File, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened(root, answered)
    monkeypatch.setattr("providers.base.Driver.download_file", lambda *_, **__: 1 // 0)
    before = AuditEvent.objects.filter(action="file.content").count()
    for number in (1, 2):
        assert root.get(f"{address(answered)}?p={number}").status_code == 200
    assert AuditEvent.objects.filter(action="file.content").count() == before
    assert AuditEvent.objects.filter(object_id=answered.file_id, action="file.content").count() == 2


def test_reading_needs_the_permission(own: World, asked: File, sign_in: SignIn, root: Client) -> None:
    opened(root, asked)
    viewer = sign_in("Read-only", own.organization)
    assert viewer.get(address(asked)).status_code == 403
    assert viewer.post(address(asked)).status_code == 403
    one = reverse("admin:files_app_file_show", args=[asked.pk, 0])
    assert viewer.post(one).status_code == 403


def test_answers_of_another_organization_are_not_shown(root: Client, foreign: World, asked: File) -> None:
    result_of(foreign, asked, "errors", failure(IDS[0], "of somebody else"))
    assert "of somebody else" not in opened(root, asked)
    one = reverse("admin:files_app_file_show", args=[asked.pk, 0])
    assert b"of somebody else" not in body_of(root.post(one))


def test_other_files_have_no_requests(root: Client, own: World) -> None:
    answer = root.post(address(own.file))
    assert answer.status_code == 404
    assert b"Only batch files" in body_of(answer)
    page = body_of(root.get(reverse("admin:files_app_file_change", args=[own.file.pk])))
    assert b"Show requests" not in page


def test_a_provider_that_does_not_answer_is_said(
    root: Client, asked: File, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = next(iter(asked.copies.all()))
    path.account.is_enabled = False
    path.account.save()
    answer = root.post(address(asked))
    assert answer.status_code == 403
    assert b"switched off" in body_of(answer)


def test_the_pages_of_an_index_are_small() -> None:
    """50,000 requests take a few megabytes of the database, whatever their lines hold."""
    packer = Packer(50_000)
    packer.feed(jsonl(*(chat_line(f"{number:036}", "gpt-4o", user="u" * 200) for number in range(5_000))))
    packer.finish()
    assert sum(len(page.data) for page in packer.pages) < 5_000 * 50
    assert json.dumps(packer.lines) == "5000"


def test_a_result_without_its_input_is_shown_alone(root: Client, own: World, asked: File) -> None:
    output = result_of(own, asked, "output", answer("r1"))
    File.objects.filter(pk=output.pk).update(batch={"part": "output", "input_file_id": None})
    opened(root, output)
    shown = body_of(root.post(reverse("admin:files_app_file_show", args=[output.pk, 0]))).decode()
    assert "Its request is not here." in shown


def test_a_native_result_has_rows_too(root: Client, own: World) -> None:
    """Results that stayed in their provider's form are read as far as it is known."""
    row = {
        "recordId": "r1",
        "modelInput": {},
        "modelOutput": {
            "output": {"message": {"role": "assistant", "content": [{"text": "Guten Tag"}]}},
            "stopReason": "end_turn",
            "usage": {"inputTokens": 7, "outputTokens": 3, "totalTokens": 10},
        },
    }
    file = store(own.organization, jsonl(row), filename="native.jsonl.out")
    File.objects.filter(pk=file.pk).update(purpose="batch_output")
    shown = opened(root, File.objects.get(pk=file.pk))
    assert ids_in(shown) == ["r1"]
    assert ">7<" in shown
    detail = body_of(root.post(reverse("admin:files_app_file_show", args=[file.pk, 0])))
    assert b"Guten Tag" in detail
