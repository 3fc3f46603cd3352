"""The members of the OpenAI-compatible family that are rows: each makes one round trip."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from providers.exceptions import CredentialsError, FileRejectedError, ProviderError
from providers.members import CerebrasDriver, DeepInfraDriver
from providers.objects import RemoteFile
from tests.providers.compatible_contract import FamilyRow, build
from tests.providers.transport import Answer
from tests.providers.wire import Error

GROQ_FILE = RemoteFile(
    remote_id="file_01k9zq4m7v8x2c5n3b6h0j1d9f",
    bytes=1482,
    created_at=datetime.fromtimestamp(1_795_400_000, UTC),
    filename="march-run.jsonl",
    purpose="batch",
)
CEREBRAS_FILE = RemoteFile(
    remote_id="fileX1y2Z3exampleid",
    bytes=48213,
    created_at=datetime.fromtimestamp(1_795_166_102, UTC),
    filename="requests.jsonl",
    purpose="batch",
    expires_at=datetime.fromtimestamp(1_795_770_902, UTC),
)
DEEPINFRA_FILE = replace(
    CEREBRAS_FILE,
    remote_id="file_8c1exampleQ2w",
    expires_at=datetime.fromtimestamp(1_797_758_102, UTC),
)


class TestGroq(FamilyRow):
    """Every field is optional."""

    driver = "groq"
    dialect = "groq"
    expected = {
        "retrieve-file": GROQ_FILE,
        "retrieve-bare": RemoteFile(GROQ_FILE.remote_id),
        "list-files": (GROQ_FILE.remote_id,),
        "delete-file": None,
        "create-free-plan": Error(
            CredentialsError, "Files are not available on your plan", "not_available_for_plan"
        ),
    }


class TestCerebras(FamilyRow):
    driver = "cerebras"
    dialect = "cerebras"
    expected = {
        "retrieve-file": CEREBRAS_FILE,
        "list-files": (CEREBRAS_FILE.remote_id,),
        "delete-file": None,
        "list-wrong-key": Error(CredentialsError, "Wrong API Key", "wrong_api_key", "api_key"),
    }

    @pytest.mark.parametrize("status", [403, 404])
    def test_it_explains_a_route_that_is_not_there(self, status: int) -> None:
        driver, _ = build(CerebrasDriver, Answer({"message": "Not here"}, status))
        with pytest.raises(ProviderError) as caught:
            driver.list_files()
        hint = " (Cerebras' file API is a private preview: the key may have no access to it.)"
        assert str(caught.value) == "Not here" + hint
        with pytest.raises(ProviderError) as caught:
            driver.retrieve_file("file-1")
        assert str(caught.value) == "Not here"


class TestDeepInfra(FamilyRow):
    """There are four shapes of errors."""

    driver = "deepinfra"
    dialect = "deepinfra"
    expected = {
        "retrieve-file": DEEPINFRA_FILE,
        "retrieve-output": replace(DEEPINFRA_FILE, purpose="batch_output"),
        "list-files": (DEEPINFRA_FILE.remote_id,),
        "list-bad-key": Error(CredentialsError, "Invalid API key"),
        "list-not-authenticated": Error(CredentialsError, "Not authenticated"),
        "create-validation": Error(FileRejectedError, "field required", None, "purpose"),
    }

    @pytest.mark.parametrize(("has_more", "following"), [(True, "b"), (False, None), (None, None)])
    def test_only_has_more_leads_to_another_page(self, has_more: bool | None, following: str | None) -> None:
        page = Answer({"data": [{"id": "a"}, {"id": "b"}], "has_more": has_more})
        driver, wire = build(DeepInfraDriver, page)
        assert driver.list_files().next_cursor == following
        assert wire.sent[0].query == {}
