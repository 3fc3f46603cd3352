"""The official SDK (mistralai 3.7.0) takes the fake for the real thing."""

from __future__ import annotations

from mistralai.client import Mistral

from tests.fake_provider import VALID_KEY, FakeProvider


def test_the_whole_life_of_a_file(fake: FakeProvider) -> None:
    with Mistral(api_key=VALID_KEY, server_url=f"{fake.root}/mistral") as client:
        created = client.files.upload(file={"file_name": "a.jsonl", "content": b"{}\n"}, purpose="batch")
        assert created.sample_type == "batch_request"
        assert client.files.retrieve(file_id=created.id).size_bytes == 3
        assert [each.id for each in client.files.list().data] == [created.id]
        assert client.files.download(file_id=created.id).read() == b"{}\n"
        assert client.files.get_signed_url(file_id=created.id).url.startswith(fake.storage_root)
        assert client.files.delete(file_id=created.id).deleted
