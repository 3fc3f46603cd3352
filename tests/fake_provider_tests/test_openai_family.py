"""The OpenAI contract and its followers over plain HTTP."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
import requests

from tests.fake_provider import VALID_KEY, FakeProvider
from tests.fake_provider_tests.client import BEARER, TIMEOUT, FormField, post_form

JSONL = b'{"custom_id": "1"}\n'
PNG = b"\x89PNG\r\n\x1a\nrest"

# dialect, purpose that it takes, file name, content
FAMILY = [
    ("openai", "batch", "a.jsonl", JSONL),
    ("azure_v1", "batch", "a.jsonl", JSONL),
    ("groq", "batch", "a.jsonl", JSONL),
    ("xai", "anything", "a.pdf", b"%PDF"),
    ("cerebras", "batch", "a.jsonl", JSONL),
    ("deepinfra", "batch", "a.jsonl", JSONL),
    ("mistral", "ocr", "a.pdf", b"%PDF"),
    ("moonshot", "file-extract", "a.pdf", b"%PDF"),
    ("dashscope", "file-extract", "a.pdf", b"%PDF"),
    ("novita", "batch", "a.jsonl", JSONL),
    ("perplexity", "batch", "a.jsonl", JSONL),
    ("deepseek", "user_data", "a.png", PNG),
    ("openrouter", "user_data", "a.pdf", b"%PDF"),
]


def upload(fake: FakeProvider, dialect: str, purpose: str, name: str, content: bytes) -> requests.Response:
    form: list[FormField] = [
        ("purpose", (None, purpose)),
        ("file", (name, content, "application/octet-stream")),
    ]
    return post_form(f"{fake.url(dialect)}/files", form)


def get(fake: FakeProvider, dialect: str, path: str, **query: Any) -> requests.Response:
    return requests.get(fake.url(dialect) + path, headers=BEARER, params=query, timeout=TIMEOUT)


@pytest.mark.parametrize(("dialect", "purpose", "name", "content"), FAMILY)
def test_a_file_can_be_uploaded_listed_retrieved_and_deleted(
    fake: FakeProvider, dialect: str, purpose: str, name: str, content: bytes
) -> None:
    created = upload(fake, dialect, purpose, name, content)
    assert created.status_code == 200
    remote_id = created.json()["id"]
    [stored] = fake.store(dialect)
    assert (stored.remote_id, stored.filename, stored.purpose) == (remote_id, name, purpose)
    assert stored.content() == content
    assert stored.sha256 == hashlib.sha256(content).hexdigest()
    assert get(fake, dialect, f"/files/{remote_id}").json()["filename"] == name
    assert [each["id"] for each in get(fake, dialect, "/files").json()["data"]] == [remote_id]
    file_url = f"{fake.url(dialect)}/files/{remote_id}"
    assert requests.delete(file_url, headers=BEARER, timeout=TIMEOUT).json()["id"] == remote_id
    assert fake.store(dialect) == []
    assert requests.delete(file_url, headers=BEARER, timeout=TIMEOUT).status_code == 404


@pytest.mark.parametrize("dialect", [row[0] for row in FAMILY])
def test_a_wrong_key_is_refused_before_the_body_is_read(fake: FakeProvider, dialect: str) -> None:
    wrong = {"Authorization": "Bearer wrong-key"}
    answer = post_form(f"{fake.url(dialect)}/files", [("file", ("a.jsonl", JSONL))], headers=wrong)
    assert answer.status_code == (400 if dialect == "xai" else 401)
    assert fake.requests[0].body_bytes == 0
    assert fake.store(dialect) == []


@pytest.mark.parametrize("dialect", [row[0] for row in FAMILY])
def test_a_form_without_a_file_is_refused(fake: FakeProvider, dialect: str) -> None:
    answer = post_form(f"{fake.url(dialect)}/files", [("purpose", (None, "batch"))])
    assert answer.status_code in (400, 422)


def test_openai_pages_with_after_and_has_more(fake: FakeProvider) -> None:
    ids = [fake.add_file("openai", filename=f"{n}", created_at=n).remote_id for n in range(1, 4)]
    first = get(fake, "openai", "/files", limit=2).json()
    assert [each["id"] for each in first["data"]] == [ids[2], ids[1]]
    assert first["has_more"] is True
    last = get(fake, "openai", "/files", limit=2, after=first["last_id"]).json()
    assert [each["id"] for each in last["data"]] == [ids[0]]
    assert last["has_more"] is False


def test_ids_are_unquoted_behind_the_routing(fake: FakeProvider) -> None:
    fake.add_file("openai", filename="a", remote_id="a/b c")
    assert get(fake, "openai", "/files/a%2Fb%20c").json()["id"] == "a/b c"
    assert get(fake, "openai", "/files/a/b%20c").status_code == 404


def test_openai_expires_files(fake: FakeProvider) -> None:
    stored = fake.add_file("openai", filename="old", created_at=1, expires_at=2)
    assert get(fake, "openai", f"/files/{stored.remote_id}").status_code == 404


def test_openai_refuses_to_hand_out_user_data(fake: FakeProvider) -> None:
    stored = fake.add_file("openai", filename="a.pdf", purpose="user_data", content=b"x")
    answer = get(fake, "openai", f"/files/{stored.remote_id}/content")
    assert answer.status_code == 400
    assert "Not allowed to download" in answer.json()["error"]["message"]


def test_azure_dated_answers_201_without_bytes_and_lists_without_has_more(fake: FakeProvider) -> None:
    url = f"{fake.url('azure')}/files"
    version = {"api-version": "2024-10-21"}
    key = {"api-key": VALID_KEY}
    form: list[FormField] = [
        ("purpose", (None, "batch")),
        ("file", ("a.jsonl", JSONL, "application/octet-stream")),
    ]
    created = post_form(url, form, params=version, headers=key)
    assert created.status_code == 201
    assert created.headers["Location"].startswith(f"{url}/{created.json()['id']}")
    assert created.json()["status"] == "pending"
    assert "bytes" not in created.json()
    listed = requests.get(url, params=version, headers=key, timeout=TIMEOUT).json()
    assert sorted(listed) == ["data", "object"]
    assert listed["data"][0]["bytes"] == len(JSONL)
    assert requests.get(url, headers=key, timeout=TIMEOUT).status_code == 404


def test_azure_wants_a_content_type_on_the_file(fake: FakeProvider) -> None:
    form: list[FormField] = [("purpose", (None, "batch")), ("file", ("a.jsonl", JSONL))]
    answer = post_form(f"{fake.url('azure_v1')}/files", form, headers={"api-key": VALID_KEY})
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "error"


def test_groq_shows_the_plan_gate(fake: FakeProvider) -> None:
    headers = {"Authorization": "Bearer free-plan-key"}
    answer = requests.get(f"{fake.url('groq')}/files", headers=headers, timeout=TIMEOUT)
    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == "not_available_for_plan"


def test_xai_gives_a_token_on_every_page(fake: FakeProvider) -> None:
    fake.add_file("xai", filename="a")
    first = get(fake, "xai", "/files").json()
    assert len(first["data"]) == 1
    assert get(fake, "xai", "/files", pagination_token=first["pagination_token"]).json()["data"] == []


def test_xai_refuses_text_fields_behind_the_file(fake: FakeProvider) -> None:
    form: list[FormField] = [("file", ("a.pdf", b"x")), ("purpose", (None, "batch"))]
    answer = post_form(f"{fake.url('xai')}/files", form)
    assert answer.status_code == 400
    assert fake.requests[0].part_names == ["file", "purpose"]


def test_cerebras_lists_oldest_first_in_pages_of_at_most_100(fake: FakeProvider) -> None:
    ids = [fake.add_file("cerebras", filename=f"{n}", created_at=n).remote_id for n in range(1, 4)]
    assert [each["id"] for each in get(fake, "cerebras", "/files", after=ids[0]).json()["data"]] == ids[1:]
    assert get(fake, "cerebras", "/files", limit=101).status_code == 400


def test_mistral_counts_pages_and_knows_uuids_only(fake: FakeProvider) -> None:
    ids = [fake.add_file("mistral", filename=f"{n}", created_at=n).remote_id for n in range(1, 4)]
    second = get(fake, "mistral", "/files", page=1, page_size=2).json()
    assert [each["id"] for each in second["data"]] == [ids[0]]
    assert second["total"] == 3
    assert get(fake, "mistral", "/files/file-abc").status_code == 422


def test_mistral_signs_links_that_want_no_key(fake: FakeProvider) -> None:
    stored = fake.add_file("mistral", filename="a", content=b"0123456789")
    link = get(fake, "mistral", f"/files/{stored.remote_id}/url").json()["url"]
    part = requests.get(link, headers={"Range": "bytes=4-"}, timeout=TIMEOUT)
    assert (part.status_code, part.content) == (206, b"456789")


def test_siliconflow_wraps_its_answers(fake: FakeProvider) -> None:
    created = upload(fake, "siliconflow", "batch", "a.jsonl", JSONL).json()
    assert created["code"] == 20000
    assert "createdAt" in created["data"]
    assert get(fake, "siliconflow", "/files").status_code == 400
    listed = get(fake, "siliconflow", "/files", purpose="batch").json()
    assert [each["id"] for each in listed["data"]["data"]] == [created["data"]["id"]]
    wrong = requests.get(f"{fake.url('siliconflow')}/files", timeout=TIMEOUT)
    assert (wrong.status_code, wrong.json()) == (401, "Invalid token")


def test_zhipu_has_no_retrieve(fake: FakeProvider) -> None:
    remote_id = upload(fake, "zhipu", "batch", "a.jsonl", JSONL).json()["id"]
    assert get(fake, "zhipu", f"/files/{remote_id}").status_code == 404
    assert get(fake, "zhipu", f"/files/{remote_id}/content").content == JSONL


def test_perplexity_checks_lines_and_refuses_expiry(fake: FakeProvider) -> None:
    assert upload(fake, "perplexity", "batch", "a.jsonl", b"{}\nnope\n").status_code == 400
    form: list[FormField] = [
        ("purpose", (None, "batch")),
        ("expires_after[seconds]", (None, "3600")),
        ("file", ("a.jsonl", JSONL)),
    ]
    assert post_form(f"{fake.url('perplexity')}/files", form).status_code == 400


def test_ark_processes_first_and_has_no_content(fake: FakeProvider) -> None:
    created = upload(fake, "ark", "user_data", "a.pdf", b"%PDF").json()
    assert created["status"] == "processing"
    assert created["expire_at"] - created["created_at"] == 7 * 24 * 3600
    assert get(fake, "ark", f"/files/{created['id']}").json()["status"] == "active"
    assert get(fake, "ark", f"/files/{created['id']}/content").status_code == 404


def test_deepseek_wants_the_purpose_in_front_of_documents(fake: FakeProvider) -> None:
    url = f"{fake.url('deepseek')}/files"
    form: list[FormField] = [("file", ("a.pdf", b"%PDF")), ("purpose", (None, "text_recognition"))]
    assert post_form(url, form).status_code == 400
    assert post_form(url, form[::-1]).status_code == 200


def test_undocumented_fields_are_recorded(fake: FakeProvider) -> None:
    form: list[FormField] = [
        ("colour", (None, "red")),
        ("purpose", (None, "batch")),
        ("file", ("a.jsonl", JSONL)),
    ]
    assert post_form(f"{fake.url('openai')}/files", form).status_code == 200
    assert fake.requests[0].unknown_fields == ["colour"]
