"""`manage.py files convert`"""

from __future__ import annotations

import pytest
from celery import current_app

from files_app.models import File
from files_app.services.accounts.drivers import driver_for
from files_app.services.upstream.sync import sync_account
from tests.files_app.batch_jobs import run_job
from tests.files_app.batches import MODELS, bucket_account, chat_lines
from tests.files_app.cast import Tenant
from tests.files_app.management.shell import good, manage
from tests.providers.stores import Weed


def test_results_of_before_are_named_and_converted_once(
    acme: Tenant, s3_server: Weed, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []
    monkeypatch.setattr(current_app, "send_task", lambda name, args=(): sent.append(name))
    account = bucket_account(acme.organization, s3_server)
    source = acme.api.upload(chat_lines(MODELS["bedrock"]), "batch", "march.jsonl", account="bucket").json()
    run_job(account, source)
    with monkeypatch.context() as patch:
        patch.setattr(type(driver_for(account)), "results", None)
        sync_account(account)
    rows = {file.filename: file for file in File.objects.filter(purpose="batch_output")}
    main = rows[f"{source['id']}.jsonl.out"]
    assert "(dry run)" in good("files", "convert", "--dry-run").err
    assert File.objects.filter(result_part="").count() == 3
    done = manage("files", "convert", "--account", "acme/bucket", "--json").json
    assert {row["id"]: row["outcome"] for row in done} == {
        main.file_id: "converted",
        rows["manifest.json.out"].file_id: "part of another",
    }
    (converted,) = File.objects.filter(purpose="batch_output")
    assert (converted.file_id, converted.result_part, converted.status) == (
        main.file_id,
        "output",
        "uploaded",
    )
    assert converted.filename == "march_output.jsonl"
    assert "No result to convert" in good("files", "convert").err
