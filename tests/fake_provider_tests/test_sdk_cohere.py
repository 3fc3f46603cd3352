"""The official SDK (cohere 7.3.1) takes the fake for the real thing."""

from __future__ import annotations

import cohere

from tests.fake_provider import VALID_KEY, FakeProvider


def test_the_whole_life_of_a_dataset(fake: FakeProvider) -> None:
    with cohere.Client(api_key=VALID_KEY, base_url=fake.url("cohere")) as client:
        created = client.datasets.create(
            name="a.jsonl", type="embed-input", data=("a.jsonl", b"{}\n"), keep_original_file=True
        )
        assert created.id is not None
        dataset = client.datasets.get(created.id).dataset
        assert dataset.validation_status == "validated"
        assert dataset.dataset_parts is not None
        assert dataset.dataset_parts[0].original_url is not None
        assert [each.id for each in client.datasets.list(limit=10).datasets or ()] == [created.id]
        assert client.datasets.get_usage().organization_usage == 3
        client.datasets.delete(created.id)
    assert fake.store("cohere") == []
