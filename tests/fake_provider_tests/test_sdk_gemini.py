"""The official SDK (google-genai 3.4.0) takes the fake for the real thing."""

from __future__ import annotations

import io

import pytest
from google import genai

from tests.fake_provider import VALID_KEY, FakeProvider


def test_the_whole_life_of_a_file(fake: FakeProvider) -> None:
    options = genai.types.HttpOptions(base_url=fake.url("gemini"), api_version="v1beta")
    with genai.Client(api_key=VALID_KEY, http_options=options) as client:
        config = genai.types.UploadFileConfig(mime_type="text/plain", display_name="a.txt")
        created = client.files.upload(file=io.BytesIO(b"hello"), config=config)
        assert created.name is not None
        assert created.state == genai.types.FileState.ACTIVE
        assert fake.store("gemini")[0].content() == b"hello"
        assert client.files.get(name=created.name).size_bytes == 5
        assert [each.name for each in client.files.list()] == [created.name]
        client.files.delete(name=created.name)
        with pytest.raises(genai.errors.ClientError) as caught:
            client.files.get(name=created.name)
        assert caught.value.code == 403
