"""The official SDK (together 3.1.1) takes the fake for the real thing."""

from __future__ import annotations

from pathlib import Path

import together

from tests.fake_provider import VALID_KEY, FakeProvider


def test_together_uploads_in_three_steps(fake: FakeProvider, tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    path.write_text('{"text": "hello"}\n')
    with together.Together(api_key=VALID_KEY, base_url=fake.url("together"), max_retries=0) as client:
        created = client.files.upload(file=path, purpose="fine-tune", check=False)
        assert fake.store("together")[0].content() == path.read_bytes()
        assert [record.dialect for record in fake.requests] == ["together", "storage", "together"]
        again = client.files.upload(file=path, purpose="fine-tune", check=False)
        assert again.id == created.id
        assert client.files.retrieve(created.id).processing_status == "COMPLETED"
        assert [each.id for each in client.files.list().data] == [created.id]
        assert client.files.content(created.id).read() == path.read_bytes()
        assert client.files.delete(created.id).deleted
