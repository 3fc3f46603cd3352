"""What batch jobs wrote, as files in OpenAI's shape: two real stores, and jobs that read what was stored."""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from typing import Any

import pytest
from celery import current_app
from django.utils import timezone

from files_app.models import AuditEvent, CopyState, File, FileCopy, ProviderAccount
from files_app.services.accounts.drivers import driver_for
from files_app.services.index.callers import system_caller
from files_app.services.upstream import translation
from files_app.services.upstream.conversion import convert_results
from files_app.services.upstream.recheck import recheck_file
from files_app.services.upstream.reconcile import Orders, reconcile_account
from files_app.services.upstream.sync import SyncReport, sync_account
from files_app.services.upstream.verify import Outcome, verify_file
from files_app.tasks import translate_results_of
from tests.files_app.batch_jobs import answered, failed, put, run_job, write_result
from tests.files_app.batches import MODELS, bucket_account, chat_lines, stored
from tests.files_app.cast import Tenant, counters, deliver_deletes
from tests.providers.batches.results.reading import check_line
from tests.providers.stores import BUCKETS, gcs_server, s3_server

pytestmark = pytest.mark.django_db
__all__ = ["gcs_server", "s3_server"]

SERVERS = {"bedrock": "s3_server", "vertex": "gcs_server"}
EVERYWHERE = pytest.mark.parametrize("account", ["bedrock", "vertex"], indirect=True)
ON_BEDROCK = pytest.mark.parametrize("account", ["bedrock"], indirect=True)
ON_VERTEX = pytest.mark.parametrize("account", ["vertex"], indirect=True)


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the tasks that were sent: no worker runs here."""
    sent: list[str] = []
    monkeypatch.setattr(current_app, "send_task", lambda name, **_: sent.append(name))
    return sent


@pytest.fixture
def account(request: pytest.FixtureRequest, acme: Tenant) -> ProviderAccount:
    """An account that acme owns alone."""
    server = request.getfixturevalue(SERVERS[request.param])
    return bucket_account(acme.organization, server)


def batch(tenant: Tenant, account: ProviderAccount, number: int = 3, **kwargs: Any) -> dict[str, Any]:
    """Upload a batch file and return its object."""
    content = chat_lines(MODELS[account.driver], number)
    reply = tenant.api.upload(content, "batch", "march.jsonl", account=account.name, **kwargs)
    assert reply.status == 200, reply.body
    file: dict[str, Any] = reply.json()
    return file


def sync(account: ProviderAccount) -> SyncReport:
    report = sync_account(ProviderAccount.objects.get(pk=account.pk))
    assert report is not None
    return report


def translate() -> None:
    """Do what the worker does."""
    for pk in File.objects.untranslated().values_list("pk", flat=True):
        translation.translate_result(pk)


def results(tenant: Tenant) -> dict[str, dict[str, Any]]:
    """Return the files that jobs made, by which part of a result they are."""
    files = tenant.api.listed()["data"]
    return {file["batch"]["part"]: file for file in files if file["purpose"] == "batch_output"}


def taken_in(tenant: Tenant, account: ProviderAccount) -> dict[str, dict[str, Any]]:
    sync(account)
    translate()
    return results(tenant)


def lines(tenant: Tenant, file: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the lines of a file by custom_id, each of which OpenAI's types have judged."""
    content = tenant.api.get(f"/files/{file['id']}/content").body
    records = [json.loads(line) for line in content.splitlines()]
    for record in records:
        check_line(record, is_error=file["batch"]["part"] == "errors")
    found = {record["custom_id"]: record for record in records}
    assert len(found) == len(records)
    return found


def all_but_r1(line: dict[str, Any]) -> dict[str, Any]:
    return failed(line) if "r1" in json.dumps(line) else answered(line)


@EVERYWHERE
def test_a_result_is_an_output_file_and_a_file_of_errors(acme: Tenant, account: ProviderAccount) -> None:
    source = batch(acme, account)
    run_job(account, source, all_but_r1)
    files = taken_in(acme, account)
    assert set(files) == {"output", "errors"}
    for file in files.values():
        assert file["status"] == "processed"
        assert file["batch"]["input_file_id"] == source["id"]
        assert {**file["batch"]["counts"], "input_tokens": 0, "output_tokens": 0} == {
            "total": 3, "completed": 2, "failed": 1, "input_tokens": 0, "output_tokens": 0
        }  # fmt: skip
    assert files["output"]["filename"] == "march_output.jsonl"
    assert files["errors"]["filename"] == "march_error.jsonl"
    good, bad = lines(acme, files["output"]), lines(acme, files["errors"])
    assert set(good) == {"r0", "r2"} and set(bad) == {"r1"}
    body = good["r2"]["response"]["body"]
    assert body["choices"][0]["message"]["content"] == "Answer to Question r2"
    assert body["usage"] == {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}
    assert bad["r1"]["error"] == {"code": "invalid_request", "message": "too long"}
    assert counters(acme.organization)[2] == 1  # the input alone


@ON_BEDROCK
def test_the_tokens_of_a_job_come_from_its_summary(acme: Tenant, account: ProviderAccount) -> None:
    run_job(account, batch(acme, account))
    counts = taken_in(acme, account)["output"]["batch"]["counts"]
    assert counts == {"total": 3, "completed": 3, "failed": 0, "input_tokens": 700, "output_tokens": 500}


@EVERYWHERE
def test_without_failures_there_is_no_file_of_errors(acme: Tenant, account: ProviderAccount) -> None:
    run_job(account, batch(acme, account))
    assert set(taken_in(acme, account)) == {"output"}


@EVERYWHERE
def test_a_request_without_an_answer_is_an_error(acme: Tenant, account: ProviderAccount) -> None:
    run_job(account, batch(acme, account), lambda line: None if "r0" in json.dumps(line) else answered(line))
    files = taken_in(acme, account)
    assert set(lines(acme, files["output"])) == {"r1", "r2"}
    assert lines(acme, files["errors"])["r0"]["error"]["code"] == "no_result"


@ON_VERTEX
def test_rows_whose_labels_were_lost_are_matched_by_what_they_repeat(
    acme: Tenant, account: ProviderAccount
) -> None:
    def unlabelled(line: dict[str, Any]) -> dict[str, Any]:
        row = answered(line)
        return {**row, "request": {name: row["request"][name] for name in row["request"] if name != "labels"}}

    run_job(account, batch(acme, account), unlabelled)
    found = lines(acme, taken_in(acme, account)["output"])
    assert {
        id_: line["response"]["body"]["choices"][0]["message"]["content"] for id_, line in found.items()
    } == {f"r{n}": f"Answer to Question r{n}" for n in range(3)}


@EVERYWHERE
def test_until_it_is_translated_a_result_has_no_content(
    acme: Tenant, account: ProviderAccount, asked: list[str], django_capture_on_commit_callbacks: Any
) -> None:
    run_job(account, batch(acme, account))
    with django_capture_on_commit_callbacks(execute=True):
        sync(account)
    assert asked == ["files_app.tasks.translate_results_of"]
    sync(account)  # whose word on the status is none, as little as the provider's
    recheck_file(File.objects.untranslated().get(), caller=system_caller())
    file = results(acme)["output"]
    assert (file["status"], file["bytes"]) == ("uploaded", 0)
    reply = acme.api.get(f"/files/{file['id']}/content")
    assert (reply.status, reply.error["code"]) == (409, "content_not_ready")
    assert acme.api.head(f"/files/{file['id']}/content").status == 409
    assert acme.api.get(f"/files/{file['id']}/content", query={"format": "native"}).status == 200
    translate_results_of(account.pk)
    file = acme.api.get(f"/files/{file['id']}").json()
    content = acme.api.get(f"/files/{file['id']}/content").body
    assert file["status"] == "processed" and file["bytes"] == len(content) > 0


@EVERYWHERE
def test_ranges_lengths_and_tags_are_those_of_the_translation(acme: Tenant, account: ProviderAccount) -> None:
    run_job(account, batch(acme, account))
    file = taken_in(acme, account)["output"]
    path = f"/files/{file['id']}/content"
    whole = acme.api.get(path)
    etag = f'"{hashlib.sha256(whole.body).hexdigest()}"'
    assert whole.headers["ETag"] == etag and file["sha256"] == etag.strip('"')
    assert whole.headers["Content-Length"] == str(len(whole.body)) == str(file["bytes"])
    part = acme.api.get(path, headers={"Range": "bytes=10-19", "If-Range": etag})
    assert (part.status, part.body) == (206, whole.body[10:20])
    assert part.headers["Content-Range"] == f"bytes 10-19/{len(whole.body)}"
    assert acme.api.get(path, headers={"Range": "bytes=99999999-"}).status == 416
    assert acme.api.get(path, headers={"If-None-Match": etag}).status == 304
    head = acme.api.head(path)
    assert (head.headers["ETag"], head.headers["Content-Length"]) == (etag, str(len(whole.body)))


@EVERYWHERE
def test_the_providers_own_lines_are_one_parameter_away(acme: Tenant, account: ProviderAccount) -> None:
    folder = run_job(account, batch(acme, account))
    file = taken_in(acme, account)["output"]
    native = acme.api.get(f"/files/{file['id']}/content", query={"format": "native"})
    held = {f"{account.options['prefix']}/{key}": content for key, content in stored(account).items()}
    (written,) = (
        held[key]
        for key in held
        if key.startswith(folder) and "/translated/" not in key and "manifest" not in key
    )
    assert native.body == written
    assert "ETag" not in native.headers
    path = f"/files/{file['id']}/content"
    part = acme.api.get(path, query={"format": "native"}, headers={"Range": "bytes=0-4"})
    assert (part.status, part.body) == (206, written[:5])
    assert acme.api.get(f"/files/{file['id']}/content", query={"format": "openai"}).body != written
    reply = acme.api.get(f"/files/{file['id']}/content", query={"format": "csv"})
    assert (reply.status, reply.error["param"]) == (400, "format")


@EVERYWHERE
def test_who_deletes_one_file_keeps_the_other_and_both_delete_all(
    acme: Tenant, account: ProviderAccount
) -> None:
    source = batch(acme, account)
    run_job(account, source, all_but_r1)
    files = taken_in(acme, account)
    before = set(stored(account))
    assert acme.api.delete(f"/files/{files['output']['id']}").status == 200
    deliver_deletes()
    sync(account)
    assert set(stored(account)) == before
    assert set(results(acme)) == {"errors"}
    assert set(lines(acme, files["errors"])) == {"r1"}
    assert acme.api.delete(f"/files/{files['errors']['id']}").status == 200
    deliver_deletes()
    sync(account)
    assert set(stored(account)) == {key for key in before if "/results/" not in key}
    assert results(acme) == {}
    assert not FileCopy.objects.exclude(state__in=[CopyState.AVAILABLE, CopyState.DELETED]).exists()


@EVERYWHERE
def test_a_result_that_is_deleted_before_it_is_translated_leaves_nothing(
    acme: Tenant, account: ProviderAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_job(account, batch(acme, account), all_but_r1)
    sync(account)
    file = results(acme)["output"]
    settled = translation._settled

    def deleted_meanwhile(*args: Any) -> bool:
        assert acme.api.delete(f"/files/{file['id']}").status == 200
        deliver_deletes()
        return settled(*args)

    monkeypatch.setattr(translation, "_settled", deleted_meanwhile)
    translate()
    assert not [key for key in stored(account) if "/results/" in key]
    assert results(acme) == {}


@EVERYWHERE
def test_syncs_and_reconcile_know_what_belongs_to_a_result(acme: Tenant, account: ProviderAccount) -> None:
    run_job(account, batch(acme, account), all_but_r1)
    taken_in(acme, account)
    assert sync(account).adopted == 0
    assert not File.objects.untranslated().exists()
    report = reconcile_account(account, caller=system_caller(), orders=Orders())
    assert report.is_complete and report.differences == []


@EVERYWHERE
def test_reconcile_removes_translations_of_results_that_are_gone(
    acme: Tenant, account: ProviderAccount
) -> None:
    key = f"{account.options['prefix']}/{acme.organization.namespace}/job/translated/"
    key += {"bedrock": "a.jsonl.out", "vertex": "predictions.jsonl"}[account.driver] + ".output.jsonl"
    orphan = put(account, key, b"{}")
    orders = Orders(remove_unexplained=True, protection=timedelta(seconds=-5))
    (found,) = reconcile_account(account, caller=system_caller(), orders=orders).differences
    assert (found.remote_id, found.is_settled) == (orphan, True)
    assert stored(account) == {}


@EVERYWHERE
def test_results_without_a_known_input_are_translated_too(acme: Tenant, account: ProviderAccount) -> None:
    source = batch(acme, account)
    folder = f"{account.options['prefix']}/{acme.organization.namespace}/elsewhere/"
    stranger = {**source, "batch": {**source["batch"], "uri": "s3://x/mine.jsonl"}}
    row = {"recordId": "x", "modelInput": {}, "modelOutput": {"generation": "Hi", "stop_reason": "stop"}}
    if account.driver == "vertex":
        row = {"key": "x", "response": {"embedding": {"values": [0.5]}}, "status": ""}
    write_result(account, stranger, [row], folder=folder)
    file = taken_in(acme, account)["output"]
    assert file["batch"]["input_file_id"] is None
    assert set(lines(acme, file)) == {"x"}


@ON_VERTEX
def test_what_is_no_answer_in_any_known_form_stays_what_it_is(acme: Tenant, account: ProviderAccount) -> None:
    key = f"{account.options['prefix']}/{acme.organization.namespace}/custom/predictions_0001.jsonl"
    put(account, key, b'{"instance": [1], "prediction": 0.5}\n')
    sync(account)
    translate()
    (file,) = (file for file in acme.api.listed()["data"] if file["purpose"] == "batch_output")
    assert (file["status"], file["filename"], "batch" in file) == (
        "processed",
        "predictions_0001.jsonl",
        False,
    )
    assert acme.api.get(f"/files/{file['id']}/content").body == b'{"instance": [1], "prediction": 0.5}\n'
    assert not [key for key in stored(account) if "translated" in key]
    assert acme.api.delete(f"/files/{file['id']}").status == 200
    deliver_deletes()
    assert stored(account) == {}


@ON_VERTEX
def test_shards_are_one_result_also_when_one_comes_late(acme: Tenant, account: ProviderAccount) -> None:
    folder = f"{account.options['prefix']}/{acme.organization.namespace}/job"
    row = {"status": "", "response": {"embedding": {"values": [0.5]}}}
    put(account, f"{folder}/000000000000.jsonl", json.dumps({**row, "key": "a"}).encode())
    first = taken_in(acme, account)["output"]
    put(account, f"{folder}/000000000001.jsonl", json.dumps({**row, "key": "b"}).encode())
    sync(account)
    assert acme.api.get(f"/files/{first['id']}/content").status == 409
    second = taken_in(acme, account)["output"]
    assert second["id"] == first["id"] and second["batch"]["parts"] == 2
    assert set(lines(acme, second)) == {"a", "b"}
    path, ranged = f"/files/{first['id']}/content", {"Range": "bytes=0-1"}
    native = acme.api.get(path, query={"format": "native"}, headers=ranged)
    assert native.status == 200 and native.body.count(b'"key"') == 2
    assert native.headers["Content-Length"] == str(len(native.body))


@ON_BEDROCK
def test_errors_of_the_openai_compatible_jobs_are_in_the_file_of_errors(
    acme: Tenant, account: ProviderAccount
) -> None:
    folder = f"{account.options['prefix']}/{acme.organization.namespace}/job"
    line = {
        "id": "x",
        "custom_id": "a",
        "response": None,
        "error": {"code": "batch_expired", "message": "late"},
    }
    put(account, f"{folder}/in.jsonl.err", json.dumps(line).encode())
    files = taken_in(acme, account)
    assert lines(acme, files["output"]) == {}
    assert lines(acme, files["errors"])["a"]["error"] == {"code": "batch_expired", "message": "late"}


@EVERYWHERE
def test_a_translation_that_somebody_removed_is_made_anew(acme: Tenant, account: ProviderAccount) -> None:
    run_job(account, batch(acme, account), all_but_r1)
    files = taken_in(acme, account)
    driver = driver_for(account)
    assert driver.results is not None
    driver.results.delete_translations(FileCopy.objects.filter(file__result_part="output").get().remote_id)
    reply = acme.api.get(f"/files/{files['errors']['id']}/content")
    assert (reply.status, reply.error["code"]) == (409, "content_not_ready")
    translate()
    assert set(lines(acme, files["errors"])) == {"r1"}
    assert set(lines(acme, files["output"])) == {"r0", "r2"}


@EVERYWHERE
def test_a_provider_that_fails_is_asked_again_later(
    acme: Tenant, account: ProviderAccount, monkeypatch: pytest.MonkeyPatch, asked: list[str]
) -> None:
    run_job(account, batch(acme, account))
    sync(account)
    with monkeypatch.context() as patch:
        patch.setitem(account.options, "bucket", "no-such-bucket")
        ProviderAccount.objects.filter(pk=account.pk).update(options=account.options)
        translate()
    file = results(acme)["output"]
    assert file["status"] == "uploaded" and "could not be translated yet" in file["status_details"]
    assert translation.translate_due() == 0  # not at once
    ProviderAccount.objects.filter(pk=account.pk).update(options=account.options | {"bucket": BUCKETS[0]})
    File.objects.untranslated().update(status_ask_after=timezone.now() - timedelta(seconds=1))
    assert translation.translate_due() == 1
    assert results(acme)["output"]["status"] == "processed"
    assert not results(acme)["output"]["status_details"]


@EVERYWHERE
def test_verify_and_recheck_judge_the_translation(acme: Tenant, account: ProviderAccount) -> None:
    run_job(account, batch(acme, account))
    taken_in(acme, account)
    file = File.objects.select_related("account", "organization").get(result_part="output")
    assert verify_file(file).outcome == Outcome.INTACT
    assert "bytes instead of" not in recheck_file(file, caller=system_caller())


@EVERYWHERE
@pytest.mark.parametrize("where", ["results", "elsewhere", "stranger's", "unknown input"])
def test_on_shared_accounts_only_results_of_an_own_file_in_its_folder_are_taken_in(
    request: pytest.FixtureRequest, acme: Tenant, other: Tenant, account: ProviderAccount, where: str
) -> None:
    shared = bucket_account(None, request.getfixturevalue(SERVERS[account.driver]), "shared")
    source = batch(acme, shared)
    prefix, own = shared.options["prefix"], acme.organization.namespace
    folders = {
        "results": None,
        "elsewhere": f"{prefix}/{own}/out/",
        "stranger's": f"{prefix}/{other.organization.namespace}/results/{source['id']}/",
        "unknown input": f"{prefix}/{own}/results/file-aaaaaaaaaaaaaaaaaaaaaaaaaa/",
    }
    batch(other, shared)  # whose folder is looked into, too
    if where == "unknown input":  # whose name would say it on Bedrock
        source = {**source, "batch": {**source["batch"], "uri": "s3://x/other.jsonl"}}
    run = write_result if where == "unknown input" else run_job
    run(shared, source, *([[]] if where == "unknown input" else []), folder=folders[where])
    sync(shared)
    translate()
    assert set(results(acme)) == ({"output"} if where == "results" else set())
    assert results(other) == {}
    if where == "results":
        assert set(lines(acme, results(acme)["output"])) == {"r0", "r1", "r2"}
        assert sync(shared).adopted == 0
        assert AuditEvent.objects.filter(action="file.adopt").count() == 1


def taken_in_before(account: ProviderAccount, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take results in as they were before there were translations."""
    with monkeypatch.context() as patch:
        patch.setattr(type(driver_for(account)), "results", None)
        sync(account)


@EVERYWHERE
def test_results_of_before_are_converted(
    acme: Tenant, account: ProviderAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = batch(acme, account)
    folder = run_job(account, source, all_but_r1)
    late = {"bedrock": f"{source['id']}.jsonl.err", "vertex": "predictions_0001.jsonl"}[account.driver]
    row = {
        "id": "x",
        "custom_id": "late",
        "response": None,
        "error": {"code": "batch_expired", "message": "m"},
    }
    put(account, f"{folder}/{late}", json.dumps(row).encode())
    taken_in_before(account, monkeypatch)
    before = {file["id"] for file in acme.api.listed()["data"]}
    (main,) = File.objects.filter(
        uri__endswith={"bedrock": ".out", "vertex": "ns.jsonl"}[account.driver]
    ).exclude(uri__contains="manifest")
    everything = File.objects.all()
    dry = {
        done.file.file_id: done.outcome
        for done in convert_results(everything, caller=system_caller(), dry_run=True)
    }
    assert {file["id"] for file in acme.api.listed()["data"]} == before
    assert {
        done.file.file_id: done.outcome for done in convert_results(everything, caller=system_caller())
    } == dry
    assert dry.pop(main.file_id) == "converted" and set(dry) == before - {main.file_id, source["id"]}
    assert set(dry.values()) == {"part of another"}
    translate()
    files = results(acme)
    assert files["output"]["id"] == main.file_id
    assert files["output"]["batch"]["input_file_id"] == source["id"]
    assert set(lines(acme, files["output"])) == {"r0", "r2"}
    assert set(lines(acme, files["errors"])) == {"r1", "late"}
    assert list(convert_results(everything, caller=system_caller())) == []
    assert sync(account).adopted == 0
    assert reconcile_account(account, caller=system_caller(), orders=Orders()).differences == []


@EVERYWHERE
def test_a_result_whose_worker_died_is_translated_by_the_next_one(
    acme: Tenant, account: ProviderAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It died behind the last byte of its translation, and before the row knew of it."""
    run_job(account, batch(acme, account), all_but_r1)
    sync(account)

    class Killed(BaseException):
        pass

    def killed(*args: Any) -> bool:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(translation, "_settled", killed)
        with pytest.raises(Killed):
            translate()
    assert results(acme)["output"]["status"] == "uploaded"
    translate()  # while its lease runs, nobody else begins
    assert results(acme)["output"]["status"] == "uploaded"
    File.objects.untranslated().update(status_ask_after=timezone.now() - timedelta(seconds=1))
    translate()
    files = results(acme)
    assert set(lines(acme, files["output"])) == {"r0", "r2"}
    assert set(lines(acme, files["errors"])) == {"r1"}


@EVERYWHERE
def test_a_file_of_errors_that_is_left_alone_keeps_its_content(
    acme: Tenant, account: ProviderAccount
) -> None:
    folder = run_job(account, batch(acme, account), all_but_r1)
    files = taken_in(acme, account)
    acme.api.delete(f"/files/{files['output']['id']}")
    deliver_deletes()
    late = {"bedrock": f"{folder.split('/')[-2]}.jsonl.err", "vertex": "predictions_0001.jsonl"}[
        account.driver
    ]
    put(account, f"{folder}/{late}", b"{}")
    assert sync(account).adopted == 0
    assert set(lines(acme, files["errors"])) == {"r1"}


@ON_BEDROCK
def test_nothing_is_translated_at_an_account_that_is_switched_off(
    acme: Tenant, account: ProviderAccount, asked: list[str]
) -> None:
    run_job(account, batch(acme, account))
    sync(account)
    asked.clear()
    ProviderAccount.objects.filter(pk=account.pk).update(is_enabled=False)
    translate()
    assert translation.translate_due() == 0
    assert File.objects.untranslated().count() == 1
