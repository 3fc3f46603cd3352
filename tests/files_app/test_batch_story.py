"""One batch file, the same code for four providers, and one reader of what came back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from celery import current_app

from files_app.models import File, ProviderAccount
from files_app.services.upstream import translation
from files_app.services.upstream.sync import sync_account
from tests.fake_provider import VALID_KEY, FakeProvider
from tests.files_app.batch_jobs import answered, failed, run_job
from tests.files_app.batches import MODELS, bucket_account, chat_line, jsonl
from tests.files_app.cast import Tenant, make_account, openai_account
from tests.providers.batches.results.reading import check_line
from tests.providers.stores import gcs_server, s3_server

pytestmark = pytest.mark.django_db
__all__ = ["gcs_server", "s3_server"]

MODEL = "our-model"
IDS = [f"Anfrage {number} é漢🙂" for number in range(200)]
BAD = set(IDS[7::50])


@pytest.fixture
def account(request: pytest.FixtureRequest, acme: Tenant, fake: FakeProvider) -> ProviderAccount:
    """An account of acme's that knows our name of a model, where its jobs do not."""
    if request.param == "openai":
        return openai_account(acme.organization, fake, "batches")
    if request.param == "gemini":
        place = {"base_url": fake.url("gemini")}
        return make_account(
            acme.organization, "batches", "gemini", options=place, credentials={"api_key": VALID_KEY}
        )
    server = request.getfixturevalue({"bedrock": "s3_server", "vertex": "gcs_server"}[request.param])
    return bucket_account(acme.organization, server, "batches", models={MODEL: MODELS[request.param]})


def run(account: ProviderAccount, fake: FakeProvider, file: dict[str, Any]) -> None:
    """Run the provider's own job: it reads what was stored where it would read it, and writes its result."""
    if account.driver in {"bedrock", "vertex"}:
        run_job(account, file, lambda line: failed(line) if _asks_badly(line) else answered(line))
        return
    (stored,) = fake.store(account.driver)
    requests = [json.loads(line) for line in b"".join(stored.blob.chunks()).splitlines()]
    for is_bad in (False, True):
        lines = [_openai_line(each, is_bad=is_bad) for each in requests if _asks_badly(each) == is_bad]
        extra = {"source": "GENERATED"} if account.driver == "gemini" else {}
        name = "errors.jsonl" if is_bad else "output.jsonl"
        fake.add_file(
            account.driver,
            filename=name,
            content=jsonl(*lines),
            purpose="batch_output",
            created_at=1_700_000_000,
            extra=extra,
        )


def _asks_badly(line: dict[str, Any]) -> bool:
    asked = json.dumps(line, ensure_ascii=False)
    return any(f"Question {id_}" in asked for id_ in BAD)


def _openai_line(request: dict[str, Any], *, is_bad: bool) -> dict[str, Any]:
    line = {"id": f"batch_req_{request['custom_id']}", "custom_id": request["custom_id"]}
    if is_bad:
        error = {"message": "too long", "type": "invalid_request_error", "param": None, "code": None}
        response = {"status_code": 400, "request_id": "r", "body": {"error": error}}
        return {**line, "response": response, "error": {"code": "invalid_request", "message": "too long"}}
    text = f"Answer to {request['body']['messages'][0]['content']}"
    body = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": request["body"]["model"],
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12},
    }
    return {**line, "response": {"status_code": 200, "request_id": "r", "body": body}, "error": None}


@pytest.mark.parametrize("account", ["openai", "gemini", "bedrock", "vertex"], indirect=True)
def test_one_file_runs_everywhere_and_comes_back_the_same(
    acme: Tenant, account: ProviderAccount, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(current_app, "send_task", lambda name, args=(): None)
    content = jsonl(*(chat_line(id_, MODEL) for id_ in IDS))
    file = acme.api.upload(content, "batch", "requests.jsonl", account="batches").json()
    run(account, fake, file)
    sync_account(account)
    for pk in File.objects.untranslated().values_list("pk", flat=True):
        translation.translate_result(pk)
    good, bad = {}, {}
    for result in acme.api.listed()["data"]:
        if result["id"] == file["id"]:
            continue
        for text in acme.api.get(f"/files/{result['id']}/content").body.splitlines():
            line = json.loads(text)
            check_line(line, is_error=line["error"] is not None)
            assert line["custom_id"] not in good and line["custom_id"] not in bad
            (bad if line["error"] else good)[line["custom_id"]] = line
    assert set(bad) == BAD and set(good) == set(IDS) - BAD
    for id_, line in good.items():
        body = line["response"]["body"]
        assert body["choices"][0]["message"]["content"] == f"Answer to Question {id_}"
        assert body["usage"]["total_tokens"] == 12
    assert {line["error"]["message"] for line in bad.values()} == {"too long"}
