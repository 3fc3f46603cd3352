"""The official openai SDK (3.54.0) takes the fake for the real thing."""

from __future__ import annotations

from collections.abc import Iterator

import openai
import pytest

from tests.fake_provider import VALID_KEY, FakeProvider


@pytest.fixture
def client(fake: FakeProvider) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(api_key=VALID_KEY, base_url=fake.url("openai"), max_retries=0) as client:
        yield client


def test_the_whole_life_of_a_file(fake: FakeProvider, client: openai.OpenAI) -> None:
    created = client.files.create(
        file=("märz.jsonl", b"{}\n"),
        purpose="batch",
        expires_after={"anchor": "created_at", "seconds": 3600},
    )
    assert created.expires_at == created.created_at + 3600
    assert fake.requests[0].part_names == [
        "purpose",
        "expires_after[anchor]",
        "expires_after[seconds]",
        "file",
    ]
    assert fake.store("openai")[0].filename == "märz.jsonl"
    assert client.files.wait_for_processing(created.id).status == "processed"
    assert client.files.content(created.id).read() == b"{}\n"
    assert [each.id for each in client.files.list()] == [created.id]
    assert client.files.delete(created.id).deleted
    with pytest.raises(openai.NotFoundError):
        client.files.retrieve(created.id)


def test_lists_end(fake: FakeProvider, client: openai.OpenAI) -> None:
    planted = [fake.add_file("openai", filename=f"{n}").remote_id for n in range(5)]
    assert [each.id for each in client.files.list(limit=2, order="asc")] == planted


def test_errors_keep_their_type(fake: FakeProvider) -> None:
    client = openai.OpenAI(api_key="wrong", base_url=fake.url("openai"), max_retries=0)
    with client, pytest.raises(openai.AuthenticationError) as caught:
        client.files.list()
    assert caught.value.code == "invalid_api_key"


def test_azure_dated(fake: FakeProvider) -> None:
    client = openai.AzureOpenAI(
        api_key=VALID_KEY, api_version="2024-10-21", base_url=fake.url("azure"), max_retries=0
    )
    with client:
        created = client.files.create(file=("a.jsonl", b"{}\n"), purpose="batch")
        assert str(created.status) == "pending"
        assert client.files.retrieve(created.id).status == "processed"
        assert client.files.delete(created.id).deleted
