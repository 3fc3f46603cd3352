"""Cerebras: batches only, in private preview."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from providers.exceptions import CredentialsError, ProviderError
from providers.generic import CerebrasDriver
from providers.objects import RemoteFile
from tests.providers.compatible_contract import FamilyContract, build
from tests.providers.contract import Error
from tests.providers.transport import Answer

PREVIEW = " (Cerebras' file API is a private preview: the key may have no access to it.)"
FILE = RemoteFile(
    remote_id="fileX1y2Z3exampleid",
    bytes=48213,
    created_at=datetime.fromtimestamp(1_795_166_102, UTC),
    filename="requests.jsonl",
    purpose="batch",
    expires_at=datetime.fromtimestamp(1_795_770_902, UTC),
)


class TestCerebras(FamilyContract):
    driver = "cerebras"
    dialect = "cerebras"
    expected = {
        "retrieve-file": FILE,
        "list-files": (FILE.remote_id,),
        "delete-file": None,
        "list-wrong-key": Error(CredentialsError, "Wrong API Key", "wrong_api_key", "api_key"),
    }


@pytest.mark.parametrize("status", [403, 404])
def test_it_explains_a_route_that_is_not_there(status: int) -> None:
    driver, _ = build(CerebrasDriver, Answer({"message": "Not here"}, status))
    with pytest.raises(ProviderError) as caught:
        driver.list_files()
    assert str(caught.value) == "Not here" + PREVIEW
    with pytest.raises(ProviderError) as caught:
        driver.retrieve_file("file-1")
    assert str(caught.value) == "Not here"
