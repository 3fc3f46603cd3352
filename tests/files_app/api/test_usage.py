"""GET /usage"""

from __future__ import annotations

from tests.files_app.cast import Tenant
from tests.files_app.forms import encode, file_part, purpose_part


def test_usage_counts_what_is_there(acme: Tenant) -> None:
    acme.set_limits(quota_bytes=1000, max_file_bytes=100)
    file_id = acme.api.create(b"12345")["id"]
    assert acme.api.usage() == {
        "object": "usage",
        "organization": "acme",
        "used_bytes": 5,
        "reserved_bytes": 0,
        "quota_bytes": 1000,
        "max_file_bytes": 100,
        "file_count": 1,
    }
    acme.api.delete(f"/files/{file_id}")
    assert (acme.api.usage()["used_bytes"], acme.api.usage()["file_count"]) == (0, 0)


def test_an_upload_in_flight_is_reserved(acme: Tenant) -> None:
    form = encode([purpose_part(), file_part(b"x" * 2_000_000)])
    seen: list[int] = []

    def body() -> object:
        yield form[:1_500_000]
        seen.append(acme.api.usage()["reserved_bytes"])
        yield form[1_500_000:]

    assert acme.api.upload_body(body(), length=len(form)).status == 200  # type: ignore[arg-type]
    assert 1_900_000 < seen[0] <= 2_000_000
    assert acme.api.usage()["reserved_bytes"] == 0


def test_the_defaults_are_binary(acme: Tenant) -> None:
    assert acme.api.usage()["quota_bytes"] == 107_374_182_400
    assert acme.api.usage()["max_file_bytes"] == 536_870_912
