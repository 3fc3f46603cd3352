"""The official SDK (anthropic 2.12.0) takes the fake for the real thing."""

from __future__ import annotations

import anthropic
import pytest

from tests.fake_provider import VALID_KEY, FakeProvider


def test_the_whole_life_of_a_file(fake: FakeProvider) -> None:
    with anthropic.Anthropic(api_key=VALID_KEY, base_url=fake.url("anthropic"), max_retries=0) as client:
        created = client.files.upload(file=("a.pdf", b"%PDF", "application/pdf"), expires_in_seconds=3600)
        assert (created.filename, created.mime_type, created.size_bytes) == ("a.pdf", "application/pdf", 4)
        assert created.expires_at is not None
        assert client.files.retrieve_metadata(created.id).id == created.id
        made = fake.add_file("anthropic", filename="out", content=b"made", extra={"downloadable": True})
        assert client.files.download(made.remote_id).read() == b"made"
        assert {each.id for each in client.files.list(limit=1)} == {created.id, made.remote_id}
        with pytest.raises(anthropic.BadRequestError, match="file_not_downloadable"):
            client.files.download(created.id)
        assert client.files.delete(created.id).id == created.id
        with pytest.raises(anthropic.NotFoundError):
            client.files.retrieve_metadata(created.id)
