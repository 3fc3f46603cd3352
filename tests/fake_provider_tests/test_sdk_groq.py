"""The official SDK (groq 1.7.0) takes the fake for the real thing."""

from __future__ import annotations

import groq

from tests.fake_provider import VALID_KEY, FakeProvider


def test_the_whole_life_of_a_file(fake: FakeProvider) -> None:
    with groq.Groq(api_key=VALID_KEY, base_url=f"{fake.root}/groq", max_retries=0) as client:
        created = client.files.create(file=("a.jsonl", b"{}\n"), purpose="batch")
        assert created.id is not None
        assert client.files.info(created.id).bytes == 3
        assert [each.id for each in client.files.list().data or ()] == [created.id]
        assert client.files.content(created.id).read() == b"{}\n"
        assert client.files.delete(created.id).deleted
