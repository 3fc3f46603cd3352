"""POST /v1/files with OpenAI's batch lines, to accounts whose jobs read other ones."""

from __future__ import annotations

import json
from typing import Any

import pytest

from files_app.models import File, FileCopy, ProviderAccount
from files_app.services.accounts.selection import forget_recent_accounts
from files_app.services.upstream.sync import sync_account
from tests.fake_provider import FakeProvider
from tests.faults.recovery import recover
from tests.files_app.batches import (
    MODELS,
    bucket_account,
    chat_line,
    chat_lines,
    jsonl,
    remove,
    stored,
)
from tests.files_app.cast import Tenant, counters, deliver_deletes
from tests.files_app.client import Reply
from tests.files_app.forms import file_part, purpose_part
from tests.files_app.rows import force
from tests.providers.stores import Weed, gcs_server, s3_server

pytestmark = pytest.mark.django_db
__all__ = ["gcs_server", "s3_server"]

EVERYWHERE = pytest.mark.parametrize("account", ["bedrock", "vertex"], indirect=True)
ON_BEDROCK = pytest.mark.parametrize("account", ["bedrock"], indirect=True)
ON_VERTEX = pytest.mark.parametrize("account", ["vertex"], indirect=True)


@pytest.fixture
def account(request: pytest.FixtureRequest, acme: Tenant) -> ProviderAccount:
    """An account that acme owns alone."""
    server = {"bedrock": "s3_server", "vertex": "gcs_server"}[request.param]
    return bucket_account(acme.organization, request.getfixturevalue(server))


def set_options(account: ProviderAccount, **options: Any) -> None:
    account.options = {**account.options, **options}
    account.save(update_fields=["options"])
    forget_recent_accounts()


def upload(tenant: Tenant, content: bytes, **kwargs: Any) -> Reply:
    return tenant.api.upload(content, "batch", "in.jsonl", account="bucket", **kwargs)


def create(tenant: Tenant, content: bytes, **kwargs: Any) -> dict[str, Any]:
    reply = upload(tenant, content, **kwargs)
    assert reply.status == 200, reply.body
    file: dict[str, Any] = reply.json()
    return file


@EVERYWHERE
@pytest.mark.parametrize("file_first", [False, True])
def test_the_file_stays_as_it_came_and_jobs_get_what_they_read(
    acme: Tenant, account: ProviderAccount, file_first: bool
) -> None:
    model, content = MODELS[account.driver], chat_lines(MODELS[account.driver], user="somebody")
    parts = [purpose_part("batch"), file_part(content, "in.jsonl")]
    parts = parts[::-1] if file_first else parts
    reply = acme.api.upload(parts=parts, account="bucket")
    assert reply.status == 200, reply.body
    file = reply.json()
    namespace, file_id = acme.organization.namespace, file["id"]
    objects = stored(account)
    original, rendition = f"{namespace}/{file_id}.jsonl", f"{namespace}/batch/{file_id}/{file_id}.jsonl"
    assert objects.keys() == {original, rendition}
    assert objects[original] == content
    lines = [json.loads(line) for line in objects[rendition].splitlines()]
    assert len(lines) == 3
    assert "Question r1" in json.dumps(lines[1])
    assert all("custom_id" not in line for line in lines)
    place = file["uri"].removesuffix(original)
    batch = file["batch"]
    assert batch == {
        "format": batch["format"],
        "uri": place + rendition,
        "bytes": len(objects[rendition]),
        "records": 3,
        "model": model,
        "endpoint": "/v1/chat/completions",
        "ignored": ["user"],
        "warnings": batch["warnings"],
        "output_uri": f"{place}{namespace}/results/{file_id}/",
    }
    assert account.driver in batch["format"]
    assert file["bytes"] == len(content)
    assert counters(acme.organization) == (len(content), 0, 1)
    assert acme.api.get(f"/files/{file_id}").json() == file
    assert acme.api.listed()["data"] == [file]
    assert acme.api.get(f"/files/{file_id}/content").body == content
    part = acme.api.get(f"/files/{file_id}/content", headers={"Range": "bytes=10-29"})
    assert (part.status, part.body) == (206, content[10:30])


@EVERYWHERE
def test_a_delete_takes_the_rendition_along(acme: Tenant, account: ProviderAccount) -> None:
    file = create(acme, chat_lines(MODELS[account.driver]))
    assert acme.api.delete(f"/files/{file['id']}").status == 200
    deliver_deletes()
    assert stored(account) == {}
    assert FileCopy.objects.get().state == "deleted"
    assert counters(acme.organization) == (0, 0, 0)


@EVERYWHERE
@pytest.mark.parametrize("file_first", [False, True])
def test_a_bad_line_is_named_and_nothing_is_stored(
    acme: Tenant, account: ProviderAccount, file_first: bool
) -> None:
    model = MODELS[account.driver]
    bad = chat_line("r2", model, stream=True)
    content = jsonl(chat_line("r0", model), chat_line("r1", model), bad, chat_line("r0", model))
    parts = [purpose_part("batch"), file_part(content, "in.jsonl")]
    reply = acme.api.upload(parts=parts[::-1] if file_first else parts, account="bucket")
    assert reply.status == 400
    message = reply.error["message"]
    assert message is not None
    assert "line 3: " in message
    assert "stream" in message
    assert "line 4: " in message
    assert stored(account) == {}
    assert counters(acme.organization) == (0, 0, 0)
    assert acme.api.listed()["data"] == []


@EVERYWHERE
def test_lines_behind_the_first_part_are_judged_too(acme: Tenant, account: ProviderAccount) -> None:
    """What was sent to the store of both objects is thrown away."""
    model = MODELS[account.driver]
    good = chat_lines(model, 300, messages=[{"role": "user", "content": "x" * 40_000}])
    reply = upload(acme, good + b'{"custom_id": "bad"}\n')
    assert reply.status == 400
    assert "line 301: " in str(reply.error["message"])
    assert stored(account) == {}
    file = create(acme, good)
    assert file["batch"]["records"] == 300
    assert {len(content) for content in stored(account).values()} == {file["bytes"], file["batch"]["bytes"]}


NATIVE = {
    "bedrock": [{"recordId": f"r{n}", "modelInput": {"messages": []}} for n in range(3)],
    "vertex": [{"key": f"r{n}", "request": {"content": {}}} for n in range(3)],
}


@EVERYWHERE
def test_lines_in_the_providers_own_form_are_kept_as_they_are(acme: Tenant, account: ProviderAccount) -> None:
    content = jsonl(*NATIVE[account.driver])
    file = create(acme, content)
    assert list(stored(account).values()) == [content]
    batch = file["batch"]
    assert (batch["uri"], batch["bytes"], batch["records"]) == (file["uri"], len(content), 3)
    assert (batch["model"], batch["endpoint"]) == (None, None)
    assert batch["output_uri"].endswith(f"/results/{file['id']}/")


@EVERYWHERE
def test_ids_of_lines_in_the_providers_own_form_are_unique_too(
    acme: Tenant, account: ProviderAccount
) -> None:
    lines = NATIVE[account.driver]
    reply = upload(acme, jsonl(*lines, lines[1]))
    assert reply.status == 400
    assert "line 4: " in str(reply.error["message"])
    claude = [{"custom_id": "a", "request": {"messages": []}}] * 2
    if account.driver == "vertex":
        assert upload(acme, jsonl(*claude)).status == 400
    assert stored(account) == {}


@ON_VERTEX
def test_ids_may_repeat_where_the_form_has_none(acme: Tenant, account: ProviderAccount) -> None:
    file = create(acme, jsonl(*[{"request": {"contents": []}}] * 2))
    assert file["batch"]["records"] == 2


@EVERYWHERE
def test_a_file_keeps_to_the_form_of_its_first_line(acme: Tenant, account: ProviderAccount) -> None:
    ours, theirs = chat_line("r9", MODELS[account.driver]), NATIVE[account.driver][0]
    for lines in ([ours, theirs], [theirs, ours]):
        reply = upload(acme, jsonl(*lines))
        assert reply.status == 400
        assert "line 2: " in str(reply.error["message"])
    assert stored(account) == {}


@EVERYWHERE
def test_the_request_may_name_the_model_and_the_account_translate_it(
    acme: Tenant, account: ProviderAccount
) -> None:
    set_options(account, models={"cheap": MODELS[account.driver]})
    refused = upload(acme, chat_lines(None))
    assert refused.status == 400
    assert "model" in str(refused.error["message"])
    for content in (chat_lines(None), chat_lines("gpt-4o")):
        file = create(acme, content, headers={"x-tfy-provider-model": "cheap"})
        assert file["batch"]["model"] == MODELS[account.driver]
    create(acme, chat_lines("cheap", 2))
    assert all(b"cheap" not in content for key, content in stored(account).items() if "/batch/" in key)


@ON_BEDROCK
def test_openais_models_keep_openais_lines_where_jobs_go_to_that_endpoint(
    acme: Tenant, account: ProviderAccount
) -> None:
    content = chat_lines("openai.gpt-oss-20b-1:0")
    assert create(acme, content)["batch"]["format"] != "openai"
    set_options(account, job="openai")
    file = create(acme, content)
    assert file["batch"]["format"] == "openai"
    assert stored(account)[f"{acme.organization.namespace}/batch/{file['id']}/{file['id']}.jsonl"] == content


@ON_BEDROCK
def test_the_account_says_what_becomes_of_fields_that_jobs_lack(
    acme: Tenant, account: ProviderAccount
) -> None:
    content = chat_lines(MODELS["bedrock"], seed=7)
    assert "seed" in str(upload(acme, content).error["message"])
    set_options(account, unsupported_fields="ignore")
    assert "seed" in create(acme, content)["batch"]["ignored"]


@ON_BEDROCK
def test_the_accounts_quotas_of_a_job_are_kept(acme: Tenant, account: ProviderAccount) -> None:
    content = chat_lines(MODELS["bedrock"])
    assert "100" in create(acme, content)["batch"]["warnings"][0]
    set_options(account, batch_min_records=3)
    assert create(acme, content)["batch"]["warnings"] == []
    set_options(account, batch_max_records=2)
    assert "line 3: " in str(upload(acme, content).error["message"])
    set_options(account, batch_max_records=None, batch_max_bytes=200)
    assert "200 bytes" in str(upload(acme, content).error["message"])


@EVERYWHERE
def test_a_file_of_another_purpose_has_no_rendition(acme: Tenant, account: ProviderAccount) -> None:
    """When its lines arrive, nobody knows yet that it is no batch file."""
    content = chat_lines(MODELS[account.driver])
    parts = [file_part(content, "in.jsonl"), purpose_part("evals")]
    reply = acme.api.upload(parts=parts, account="bucket")
    assert reply.status == 200
    assert "batch" not in reply.json()
    assert list(stored(account).values()) == [content]


def test_where_jobs_read_every_file_as_it_is_nothing_is_said(remote: Tenant, fake: FakeProvider) -> None:
    file = remote.api.create(chat_lines("gpt-4o"), "batch", "in.jsonl")
    assert "batch" not in file
    assert "batch" not in remote.api.create(chat_lines("gpt-4o"), "batch", "in.jsonl", account="local")


@ON_BEDROCK
def test_another_model_is_another_request(acme: Tenant, account: ProviderAccount) -> None:
    content = chat_lines(None)
    named = {"x-tfy-provider-model": MODELS["bedrock"]}
    first = create(acme, content, headers={**named, "Idempotency-Key": "k"})
    assert create(acme, content, headers={**named, "Idempotency-Key": "k"}) == first
    other = {"x-tfy-provider-model": "amazon.nova-pro-v1:0"}
    assert upload(acme, content, headers={**other, "Idempotency-Key": "k"}).status == 422
    again = {"x-stainless-retry-count": "1"}
    assert create(acme, content, headers={**named, **again})["id"] == first["id"]
    assert create(acme, content, headers={**other, **again})["id"] != first["id"]


@EVERYWHERE
def test_a_sync_takes_no_rendition_for_a_file(acme: Tenant, account: ProviderAccount) -> None:
    file = create(acme, chat_lines(MODELS[account.driver]))
    report = sync_account(account)
    assert report is not None
    assert (report.adopted, report.lost, report.is_complete) == (0, 0, True)
    assert acme.api.listed()["data"] == [file]


@ON_BEDROCK
def test_a_sync_of_the_whole_bucket_takes_none_either(
    acme: Tenant, account: ProviderAccount, s3_server: Weed
) -> None:
    prefix = str(account.options["prefix"])
    above = bucket_account(acme.organization, s3_server, "above", prefix=prefix)
    set_options(account, prefix=f"{prefix}/team/files")
    file = create(acme, chat_lines(MODELS["bedrock"]))
    report = sync_account(above)
    assert report is not None
    assert (report.seen, report.adopted) == (1, 0)
    assert acme.api.listed()["data"] == [file]


@EVERYWHERE
def test_what_a_process_left_that_died_behind_the_rendition_is_removed(
    acme: Tenant, account: ProviderAccount
) -> None:
    file = create(acme, chat_lines(MODELS[account.driver]))
    remove(account, file["uri"])
    row = File.objects.get()
    force(File.objects.filter(pk=row.pk), state="uploading", reserved_bytes=0, lease_token="x")
    force(FileCopy.objects.filter(file=row), state="uploading", remote_id="")
    File.objects.filter(pk=row.pk).update(lease_expires_at=row.created_at)
    assert len(stored(account)) == 1
    recover()
    assert stored(account) == {}
    row.refresh_from_db()
    assert row.state == "failed"


# Dry runs


@EVERYWHERE
def test_a_dry_run_says_what_would_happen_and_touches_nothing(acme: Tenant, account: ProviderAccount) -> None:
    content = chat_lines(MODELS[account.driver], 5, user="somebody")
    uploaded = create(acme, content)
    before = counters(acme.organization), File.objects.count()
    set_options(account, endpoint_url="http://127.0.0.1:9")  # which nobody can reach
    reply = upload(acme, content, query={"validate_only": "true"})
    assert reply.status == 200, reply.body
    found = reply.json()
    assert "id" not in found
    assert (found["object"], found["provider"]) == ("file.validation", "bucket")
    for name in ("bytes", "sha256", "filename", "purpose"):
        assert found[name] == uploaded[name]
    places = ("uri", "output_uri")
    assert found["batch"] == {k: v for k, v in uploaded["batch"].items() if k not in places}
    assert len(found["sample"]) == 3
    assert "Question r0" in found["sample"][0]
    assert (counters(acme.organization), File.objects.count()) == before


@EVERYWHERE
def test_a_dry_run_refuses_what_an_upload_refuses(acme: Tenant, account: ProviderAccount) -> None:
    dry = {"validate_only": "true"}
    bad = chat_lines(MODELS[account.driver]) + b"{}\n"
    assert upload(acme, bad, query=dry).error == upload(acme, bad).error
    content = chat_lines(MODELS[account.driver])
    header = {"bedrock": "x-tfy-aws-s3-bucket", "vertex": "x-tfy-vertex-storage-bucket-name"}[account.driver]
    for headers in ({header: "another-bucket"}, {"x-tfy-provider-model": "no model"}):
        dried = upload(acme, content, query=dry, headers=headers)
        assert dried.status == 400
        assert dried.error == upload(acme, content, headers=headers).error
    acme.set_limits(quota_bytes=10)
    assert upload(acme, content, query=dry).error["code"] == "storage_quota_exceeded"
    assert stored(account) == {}


def test_a_dry_run_asks_no_provider(remote: Tenant, fake: FakeProvider) -> None:
    reply = remote.api.upload(chat_lines("gpt-4o"), "batch", "in.jsonl", query={"validate_only": "true"})
    assert reply.status == 200
    assert "batch" not in reply.json()
    assert fake.requests == []
    assert not File.objects.exists()
    unclear = remote.api.upload(b"x", query={"validate_only": "yes"})
    assert (unclear.status, unclear.error["param"]) == (400, "validate_only")
