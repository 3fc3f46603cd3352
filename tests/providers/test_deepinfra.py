"""DeepInfra: batches only, and four shapes of errors."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from providers.exceptions import CredentialsError, FileRejectedError
from providers.generic import DeepInfraDriver
from providers.objects import RemoteFile
from tests.providers.compatible_contract import FamilyContract, build
from tests.providers.contract import Error
from tests.providers.transport import Answer

FILE = RemoteFile(
    remote_id="file_8c1exampleQ2w",
    bytes=48213,
    created_at=datetime.fromtimestamp(1_795_166_102, UTC),
    filename="requests.jsonl",
    purpose="batch",
    expires_at=datetime.fromtimestamp(1_797_758_102, UTC),
)


class TestDeepInfra(FamilyContract):
    driver = "deepinfra"
    dialect = "deepinfra"
    expected = {
        "retrieve-file": FILE,
        "retrieve-output": replace(FILE, purpose="batch_output"),
        "list-files": (FILE.remote_id,),
        "list-bad-key": Error(CredentialsError, "Invalid API key"),
        "list-not-authenticated": Error(CredentialsError, "Not authenticated"),
        "create-validation": Error(FileRejectedError, "field required", None, "purpose"),
    }


@pytest.mark.parametrize(("has_more", "following"), [(True, "b"), (False, None), (None, None)])
def test_only_has_more_leads_to_another_page(has_more: bool | None, following: str | None) -> None:
    driver, wire = build(DeepInfraDriver, Answer({"data": [{"id": "a"}, {"id": "b"}], "has_more": has_more}))
    assert driver.list_files().next_cursor == following
    assert wire.sent[0].query == {}
