"""Requests for a name that is not ours."""

from __future__ import annotations

import pytest

from tests.files_app.cast import Tenant
from tests.files_app.client import ApiClient, assert_is_ours


@pytest.mark.parametrize("host", ["evil.example", "testserver.evil.example", "a b", "[::1", "", "x" * 300])
def test_a_host_that_is_not_ours(acme: Tenant, host: str) -> None:
    for path in ("/files", "/nothing"):
        assert_is_ours(acme.api.get(path, headers={"Host": host}), 400)


def test_a_host_that_was_ours_lets_no_other_in(acme: Tenant) -> None:
    for _ in range(2):
        assert acme.api.get("/files").status == 200
        assert acme.api.get("/files", headers={"Host": "localhost:8000"}).status == 200
        for host in ("evil.example", "localhost.evil.example", ""):
            assert_is_ours(acme.api.get("/files", headers={"Host": host}), 400)


def test_probes_may_come_by_any_name(db: None) -> None:
    reply = ApiClient("").get("//healthz", headers={"Host": "10.0.0.7:8000"})
    assert reply.status == 200
