"""The official openai SDK in the shape that Azure's users have it, in both of Azure's dialects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import openai
import pytest

from tests.sdk.conftest import Gateway


@pytest.mark.parametrize("dialect", ["dated", "v1"])
def test_the_whole_life_of_a_file(gateway: Gateway, account: str, jsonl: Path, dialect: str) -> None:
    addresses: dict[str, dict[str, Any]] = {
        "dated": {
            "azure_endpoint": gateway.stack.url,
            "azure_deployment": "gpt",
            "api_version": "2024-10-21",
        },
        "v1": {"base_url": f"{gateway.stack.url}/openai/v1/", "api_version": "preview"},
    }
    with openai.AzureOpenAI(
        **addresses[dialect],
        api_key=gateway.api_key,
        default_headers={"x-tfy-provider-name": account},
        max_retries=0,
    ) as client:
        created = client.files.create(file=jsonl, purpose="batch")
        assert client.files.retrieve(created.id).bytes == jsonl.stat().st_size
        assert created.id in [file.id for file in client.files.list(purpose="batch", limit=1)]
        assert client.files.content(created.id).read() == jsonl.read_bytes()
        assert client.files.delete(created.id).deleted
        with pytest.raises(openai.NotFoundError):
            client.files.retrieve(created.id)
