"""Groq: OpenAI's shapes with every field optional, batches only."""

from __future__ import annotations

from datetime import UTC, datetime

from providers.exceptions import CredentialsError
from providers.objects import RemoteFile
from tests.providers.compatible_contract import FamilyContract
from tests.providers.contract import Error

FILE = RemoteFile(
    remote_id="file_01k9zq4m7v8x2c5n3b6h0j1d9f",
    bytes=1482,
    created_at=datetime.fromtimestamp(1_795_400_000, UTC),
    filename="march-run.jsonl",
    purpose="batch",
)


class TestGroq(FamilyContract):
    driver = "groq"
    dialect = "groq"
    expected = {
        "retrieve-file": FILE,
        "retrieve-bare": RemoteFile(FILE.remote_id),
        "list-files": (FILE.remote_id,),
        "delete-file": None,
        "create-free-plan": Error(
            CredentialsError, "Files are not available on your plan", "not_available_for_plan"
        ),
    }
