"""What is peculiar to the providers that do not speak OpenAI's dialect."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
import requests

from tests.fake_provider import VALID_KEY, FakeProvider, behaviours
from tests.fake_provider_tests.client import BEARER, TIMEOUT, FormField, post_form

LINE = b'{"custom_id": "1"}\n'
ANTHROPIC = {"x-api-key": VALID_KEY, "anthropic-version": "2023-06-01"}
GOOGLE = {"x-goog-api-key": VALID_KEY}


# Anthropic


def test_anthropic_pages_with_an_opaque_token(fake: FakeProvider) -> None:
    ids = [fake.add_file("anthropic", filename=f"{n}", created_at=n).remote_id for n in range(1, 4)]
    url = f"{fake.url('anthropic')}/v1/files"
    first = requests.get(url, headers=ANTHROPIC, params={"limit": 2}, timeout=TIMEOUT).json()
    assert [each["id"] for each in first["data"]] == [ids[2], ids[1]]
    assert first["next_page"].startswith("page_")
    rest = {"limit": "2", "page": first["next_page"]}
    last = requests.get(url, headers=ANTHROPIC, params=rest, timeout=TIMEOUT).json()
    assert ([each["id"] for each in last["data"]], last["next_page"]) == ([ids[0]], None)
    picked = requests.get(url, headers=ANTHROPIC, params={"ids[]": ids[0]}, timeout=TIMEOUT).json()
    assert [each["id"] for each in picked["data"]] == [ids[0]]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"anthropic-version": "2023-06-01"}, 401),
        ({"x-api-key": VALID_KEY}, 400),
        ({**ANTHROPIC, **BEARER}, 400),
        ({**ANTHROPIC, "anthropic-beta": "files-api-2025-04-14"}, 400),
    ],
)
def test_anthropic_is_strict_about_headers(fake: FakeProvider, headers: dict[str, str], status: int) -> None:
    url = f"{fake.url('anthropic')}/v1/files"
    assert requests.get(url, headers=headers, timeout=TIMEOUT).status_code == status


@pytest.mark.parametrize(
    ("sent", "stored"),
    [("dir/a.txt", "a.txt"), ("a:b.txt", None), ("x" * 256, None), ("dir/", "unnamed.txt")],
)
def test_anthropic_cleans_or_refuses_names(fake: FakeProvider, sent: str, stored: str | None) -> None:
    form: list[FormField] = [("file", (sent, b"x", "text/plain"))]
    answer = post_form(f"{fake.url('anthropic')}/v1/files", form, headers=ANTHROPIC)
    assert answer.status_code == (200 if stored else 400)
    assert [each.filename for each in fake.store("anthropic")] == ([stored] if stored else [])


def test_anthropic_keeps_the_metadata_of_expired_files(fake: FakeProvider) -> None:
    stored = fake.add_file("anthropic", filename="a", expires_at=1, extra={"downloadable": True})
    url = f"{fake.url('anthropic')}/v1/files/{stored.remote_id}"
    assert requests.get(url, headers=ANTHROPIC, timeout=TIMEOUT).status_code == 200
    answer = requests.get(f"{url}/content", headers=ANTHROPIC, timeout=TIMEOUT)
    assert answer.status_code == 404
    assert answer.json()["error"]["details"] == {"error_code": "file_expired"}


# Gemini


def start_upload(
    fake: FakeProvider, size: int, mime_type: str = "text/plain", **file: Any
) -> requests.Response:
    headers = {
        **GOOGLE,
        "X-Goog-Upload-Protocol": "resumable",
        "X-Goog-Upload-Command": "start",
        "X-Goog-Upload-Header-Content-Length": str(size),
        "X-Goog-Upload-Header-Content-Type": mime_type,
    }
    url = f"{fake.url('gemini')}/upload/v1beta/files"
    return requests.post(url, headers=headers, json={"file": file}, timeout=TIMEOUT)


def send_chunk(session_url: str, command: str, offset: int = 0, data: bytes = b"") -> requests.Response:
    headers = {"X-Goog-Upload-Command": command, "X-Goog-Upload-Offset": str(offset)}
    return requests.post(session_url, headers=headers, data=data, timeout=TIMEOUT)


def test_gemini_takes_chunks_and_tells_how_far_it_is(fake: FakeProvider) -> None:
    granule = b"x" * (8 * 1024 * 1024)
    started = start_upload(fake, len(granule) + 3, displayName="a.txt")
    assert started.headers["X-Goog-Upload-Chunk-Granularity"] == str(len(granule))
    session = started.headers["X-Goog-Upload-URL"]
    assert send_chunk(session, "upload", 0, b"short").status_code == 400
    assert send_chunk(session, "upload", 0, granule).headers["X-Goog-Upload-Status"] == "active"
    assert send_chunk(session, "query").headers["X-Goog-Upload-Size-Received"] == str(len(granule))
    assert send_chunk(session, "upload, finalize", 0, b"end").status_code == 400
    done = send_chunk(session, "upload, finalize", len(granule), b"end")
    assert done.headers["X-Goog-Upload-Status"] == "final"
    assert done.json()["file"]["sizeBytes"] == str(len(granule) + 3)
    [stored] = fake.store("gemini")
    assert stored.sha256 == hashlib.sha256(granule + b"end").hexdigest()


def test_gemini_refuses_a_size_that_was_not_announced(fake: FakeProvider) -> None:
    session = start_upload(fake, 5).headers["X-Goog-Upload-URL"]
    assert send_chunk(session, "upload, finalize", 0, b"four").status_code == 400
    assert fake.store("gemini") == []


def test_gemini_processes_videos_first(fake: FakeProvider) -> None:
    session = start_upload(fake, 1, "video/mp4").headers["X-Goog-Upload-URL"]
    name = send_chunk(session, "upload, finalize", 0, b"v").json()["file"]["name"]
    url = f"{fake.url('gemini')}/v1beta/{name}"
    states = [requests.get(url, headers=GOOGLE, timeout=TIMEOUT).json()["state"] for _ in range(2)]
    assert states == ["PROCESSING", "ACTIVE"]


def test_gemini_says_403_for_a_missing_file_and_400_for_a_bad_key(fake: FakeProvider) -> None:
    url = f"{fake.url('gemini')}/v1beta/files/none"
    missing = requests.get(url, headers=GOOGLE, timeout=TIMEOUT)
    assert (missing.status_code, missing.json()["error"]["status"]) == (403, "PERMISSION_DENIED")
    wrong = requests.get(url, headers={"x-goog-api-key": "wrong"}, timeout=TIMEOUT)
    assert wrong.status_code == 400
    assert wrong.json()["error"]["details"][0]["reason"] == "API_KEY_INVALID"


def test_gemini_lists_nothing_as_an_empty_object(fake: FakeProvider) -> None:
    url = f"{fake.url('gemini')}/v1beta/files"
    assert requests.get(url, headers=GOOGLE, timeout=TIMEOUT).json() == {}
    for number in range(3):
        fake.add_file("gemini", filename=f"{number}")
    page = requests.get(url, headers=GOOGLE, params={"pageSize": 2}, timeout=TIMEOUT).json()
    rest = {"pageSize": "2", "pageToken": page["nextPageToken"]}
    last = requests.get(url, headers=GOOGLE, params=rest, timeout=TIMEOUT).json()
    assert (len(page["files"]), len(last["files"]), "nextPageToken" in last) == (2, 1, False)


def test_gemini_hands_out_generated_files_only(fake: FakeProvider) -> None:
    made = fake.add_file("gemini", filename="v.mp4", content=b"v", extra={"source": "GENERATED"})
    sent = fake.add_file("gemini", filename="a.txt", content=b"a")
    answers = [
        requests.get(
            f"{fake.url('gemini')}/v1beta/files/{each.remote_id}:download",
            headers=GOOGLE,
            params={"alt": "media"},
            timeout=TIMEOUT,
        )
        for each in (made, sent)
    ]
    assert [answer.status_code for answer in answers] == [200, 400]
    assert answers[0].content == b"v"


# Together


def test_together_takes_a_file_directly(fake: FakeProvider) -> None:
    form: list[FormField] = [
        ("purpose", (None, "batch-api")),
        ("file_name", (None, "a.jsonl")),
        ("file", ("a.jsonl", LINE)),
    ]
    created = post_form(f"{fake.url('together')}/v1/files/upload", form).json()
    assert (created["FileType"], created["bytes"]) == ("jsonl", len(LINE))
    assert fake.store("together")[0].purpose == "batch-api"


def announce(fake: FakeProvider, content: bytes) -> requests.Response:
    form: list[FormField] = [
        ("purpose", (None, "batch-api")),
        ("file_name", (None, "a.jsonl")),
        ("file_type", (None, "jsonl")),
        ("checksum", (None, hashlib.sha256(content).hexdigest())),
    ]
    return post_form(f"{fake.url('together')}/v1/files", form)


def test_together_wants_no_credential_at_the_storage_host(fake: FakeProvider) -> None:
    announced = announce(fake, LINE)
    assert announced.status_code == 302
    location = announced.headers["Location"]
    leaked = requests.put(location, data=LINE, headers=BEARER, timeout=TIMEOUT)
    assert (leaked.status_code, leaked.headers["Content-Type"]) == (400, "application/xml")
    assert requests.put(location, data=iter([LINE]), timeout=TIMEOUT).status_code == 411
    assert requests.put(location, data=LINE, timeout=TIMEOUT).status_code == 200
    assert fake.store("together") == []
    file_id = announced.headers["X-Together-File-Id"]
    url = f"{fake.url('together')}/v1/files/{file_id}/preprocess"
    assert requests.post(url, headers=BEARER, timeout=TIMEOUT).json()["id"] == file_id
    assert [stored.remote_id for stored in fake.store("together")] == [file_id]
    again = announce(fake, LINE)
    assert (again.status_code, again.json()) == (409, {"file_id": file_id})


def test_together_refuses_bytes_that_do_not_match_their_checksum(fake: FakeProvider) -> None:
    announced = announce(fake, LINE)
    requests.put(announced.headers["Location"], data=b"other", timeout=TIMEOUT)
    url = f"{fake.url('together')}/v1/files/{announced.headers['X-Together-File-Id']}/preprocess"
    assert requests.post(url, headers=BEARER, timeout=TIMEOUT).status_code == 400
    assert fake.store("together") == []


@pytest.mark.parametrize("is_aborted", [False, True])
def test_together_takes_parts(fake: FakeProvider, is_aborted: bool) -> None:
    url = f"{fake.url('together')}/v1/files/multipart"
    body = {
        "file_name": "a.jsonl",
        "file_size": 8,
        "num_parts": 2,
        "purpose": "batch-api",
        "file_type": "jsonl",
        "checksum": hashlib.sha256(b"one.two.").hexdigest(),
    }
    begun = requests.post(f"{url}/initiate", headers=BEARER, json=body, timeout=TIMEOUT).json()
    etags = [
        {
            "part_number": part["PartNumber"],
            "etag": requests.put(part["URL"], data=data, timeout=TIMEOUT).headers["ETag"].strip('"'),
        }
        for part, data in zip(begun["parts"], (b"one.", b"two."), strict=True)
    ]
    ids = {"upload_id": begun["upload_id"], "file_id": begun["file_id"]}
    if is_aborted:
        requests.post(f"{url}/abort", headers=BEARER, json=ids, timeout=TIMEOUT)
    done = requests.post(f"{url}/complete", headers=BEARER, json={**ids, "parts": etags}, timeout=TIMEOUT)
    assert done.status_code == (404 if is_aborted else 200)
    assert [each.content() for each in fake.store("together")] == ([] if is_aborted else [b"one.two."])


# Cohere


def create_dataset(fake: FakeProvider, **query: str) -> requests.Response:
    form: list[FormField] = [("data", ("a.jsonl", LINE))]
    return post_form(f"{fake.url('cohere')}/v1/datasets", form, params={"type": "embed-input", **query})


def test_cohere_takes_its_metadata_from_the_query(fake: FakeProvider) -> None:
    assert create_dataset(fake).status_code == 400
    assert create_dataset(fake, name="a", type="embed-result").status_code == 400
    assert list(create_dataset(fake, name="a").json()) == ["id"]


@pytest.mark.parametrize("keep", ["true", "false"])
def test_cohere_gives_the_original_back_only_when_it_was_kept(fake: FakeProvider, keep: str) -> None:
    remote_id = create_dataset(fake, name="a", keep_original_file=keep).json()["id"]
    url = f"{fake.url('cohere')}/v1/datasets"
    listed = requests.get(url, headers=BEARER, timeout=TIMEOUT).json()["datasets"][0]
    assert "dataset_parts" not in listed
    dataset = requests.get(f"{url}/{remote_id}", headers=BEARER, timeout=TIMEOUT).json()["dataset"]
    [part] = dataset["dataset_parts"]
    assert requests.get(part["url"], timeout=TIMEOUT).content.startswith(b"Obj")
    assert ("original_url" in part) == (keep == "true")
    if keep == "true":
        assert requests.get(part["original_url"], timeout=TIMEOUT).content == LINE
        assert requests.get(part["original_url"], headers=BEARER, timeout=TIMEOUT).status_code == 400


# Fireworks


def test_fireworks_takes_a_small_file_directly(fake: FakeProvider) -> None:
    url = f"{fake.url('fireworks')}/v1/accounts/acme/datasets"
    body = {"datasetId": "d", "dataset": {"displayName": "", "exampleCount": "1", "userUploaded": {}}}
    requests.post(url, headers=BEARER, json=body, timeout=TIMEOUT)
    assert post_form(f"{url}/d:upload", [("file", ("a.JSONL", LINE))]).status_code == 400
    assert post_form(f"{url}/d:upload", [("file", ("a.jsonl", LINE))]).json()["bytes"] == len(LINE)
    assert requests.get(f"{url}/d", headers=BEARER, timeout=TIMEOUT).json()["state"] == "READY"
    listed = requests.get(url, headers=BEARER, timeout=TIMEOUT).json()
    assert [each["name"] for each in listed["datasets"]] == ["accounts/acme/datasets/d"]
    assert requests.delete(f"{url}/d", headers=BEARER, timeout=TIMEOUT).json() == {}
    assert fake.store("fireworks") == []


def test_fireworks_takes_shards_through_signed_urls(fake: FakeProvider) -> None:
    url = f"{fake.url('fireworks')}/v1/accounts/acme/datasets"
    dataset = {"displayName": "d.jsonl", "exampleCount": "2", "userUploaded": {}}
    body = {"datasetId": "d", "dataset": dataset}
    assert requests.post(url, headers=BEARER, json=body, timeout=TIMEOUT).json()["state"] == "UPLOADING"
    assert requests.post(url, headers=BEARER, json=body, timeout=TIMEOUT).status_code == 409
    shards = {"b.jsonl": b"two\n", "a.jsonl": b"one\n"}
    sizes = {"filenameToSize": {name: str(len(data)) for name, data in shards.items()}}
    signed = requests.post(f"{url}/d:getUploadEndpoint", headers=BEARER, json=sizes, timeout=TIMEOUT).json()
    validate = f"{url}/d:validateUpload"
    assert requests.post(validate, headers=BEARER, json={}, timeout=TIMEOUT).status_code == 400
    for name, link in signed["filenameToSignedUrls"].items():
        assert requests.put(link, data=shards[name], timeout=TIMEOUT).status_code == 200
    assert requests.post(validate, headers=BEARER, json={}, timeout=TIMEOUT).json() == {}
    assert fake.store("fireworks")[0].content() == b"one\ntwo\n"
    links = requests.get(f"{url}/d:getDownloadEndpoint", headers=BEARER, timeout=TIMEOUT).json()
    contents = [
        requests.get(link, timeout=TIMEOUT).content for link in links["filenameToSignedUrls"].values()
    ]
    assert contents == [b"one\n", b"two\n"]


# All of them


@pytest.mark.parametrize(
    ("dialect", "path", "query"),
    [
        ("openai", "/files", {"limit": "many"}),
        ("xai", "/files", {"pagination_token": "!"}),
        ("gemini", "/v1beta/files", {"pageToken": "!", "key": VALID_KEY}),
        ("cohere", "/v1/datasets", {"before": "yesterday"}),
        ("fireworks", "/v1/accounts/acme/datasets", {"pageSize": "-1"}),
    ],
)
def test_malformed_arguments_are_refused(
    fake: FakeProvider, dialect: str, path: str, query: dict[str, str]
) -> None:
    answer = requests.get(fake.url(dialect) + path, headers=BEARER, params=query, timeout=TIMEOUT)
    assert answer.status_code == 400


def test_scripted_failures_of_the_storage_host_are_xml(fake: FakeProvider) -> None:
    fake.script({"method": "PUT"}, behaviours.fail(503))
    answer = requests.put(announce(fake, LINE).headers["Location"], data=LINE, timeout=TIMEOUT)
    assert (answer.status_code, answer.headers["Content-Type"]) == (503, "application/xml")
