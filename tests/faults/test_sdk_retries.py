"""OpenAI's SDK sends an upload again when its answer got lost: one file comes of it (A14)."""

from __future__ import annotations

import openai

from tests.faults.gateway import Gateway, sha256_at
from tests.faults.proxy import FaultProxy

UPLOAD = b"POST /v1/files "


def test_an_upload_whose_answer_was_lost_is_one_file(gateway: Gateway) -> None:
    tenant = gateway.tenant()
    with (
        FaultProxy(gateway.stack.port) as proxy,
        openai.OpenAI(base_url=f"http://127.0.0.1:{proxy.port}/v1", api_key=tenant.key) as client,
    ):
        proxy.lose_answer_to(UPLOAD)
        created = client.files.create(file=("a.txt", b"content"), purpose="evals")
        assert proxy.lost == 1
    tenant.assert_holds({created.id: b"content"})
    assert set(sha256_at(gateway.fake)) == {created.id}
    gateway.assert_no_drift()
