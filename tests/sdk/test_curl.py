"""curl: fields in either order, and a body without length."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.sdk.cache import run
from tests.sdk.conftest import Gateway


def curl(gateway: Gateway, account: str, *arguments: str) -> Any:
    headers = ("-H", f"Authorization: Bearer {gateway.api_key}", "-H", f"x-tfy-provider-name: {account}")
    return json.loads(run("curl", "-sS", *headers, *arguments, cwd=Path.cwd(), seconds=60))


@pytest.mark.parametrize("extra", [(), ("-H", "Transfer-Encoding: chunked"), ("-H", "Expect: 100-continue")])
@pytest.mark.parametrize("file_first", [True, False])
def test_a_form(
    gateway: Gateway, account: str, jsonl: Path, tmp_path: Path, file_first: bool, extra: tuple[str, ...]
) -> None:
    fields = ("-F", "purpose=batch", "-F", "expires_after[anchor]=created_at")
    fields += ("-F", "expires_after[seconds]=3600")
    file = ("-F", f"file=@{jsonl};filename=b.jsonl")
    form = file + fields if file_first else fields + file
    created = curl(gateway, account, f"{gateway.api_url}/files", *form, *extra)
    assert (created["bytes"], created["filename"]) == (jsonl.stat().st_size, "b.jsonl")
    url = f"{gateway.api_url}/files/{created['id']}"
    copy = tmp_path / "copy"
    headers = ("-H", f"Authorization: Bearer {gateway.api_key}")
    run("curl", "-sS", "--fail", *headers, "-o", copy, f"{url}/content", cwd=tmp_path)
    assert copy.read_bytes() == jsonl.read_bytes()
    assert curl(gateway, account, "-X", "DELETE", url)["deleted"] is True


def test_the_form_of_openais_reference(gateway: Gateway, jsonl: Path) -> None:
    """Their example names no account, and sends expires_after behind the file."""
    headers = ("-H", f"Authorization: Bearer {gateway.api_key}")
    fields = ("-F", 'purpose="fine-tune"', "-F", f"file=@{jsonl};filename=mydata.jsonl")
    fields += ("-F", 'expires_after[anchor]="created_at"', "-F", "expires_after[seconds]=2592000")
    answer = json.loads(run("curl", "-sS", f"{gateway.api_url}/files", *headers, *fields, cwd=jsonl.parent))
    assert answer["purpose"] == "fine-tune"
    assert answer["expires_at"] == answer["created_at"] + 2_592_000


def test_a_resumed_download(gateway: Gateway, jsonl: Path, tmp_path: Path) -> None:
    created = curl(
        gateway, "local", f"{gateway.api_url}/files", "-F", "purpose=batch", "-F", f"file=@{jsonl}"
    )
    part = tmp_path / "part"
    part.write_bytes(jsonl.read_bytes()[:12_345])
    headers = ("-H", f"Authorization: Bearer {gateway.api_key}")
    url = f"{gateway.api_url}/files/{created['id']}/content"
    run("curl", "-sS", "--fail", *headers, "-C", "-", "-o", part, url, cwd=tmp_path)
    assert part.read_bytes() == jsonl.read_bytes()


@pytest.mark.parametrize(
    "form",
    [
        ("-F", "file=data.jsonl"),  # a forgotten @
        ("-F", "file=<data.jsonl"),
        ("-F", "file=@data.jsonl,other.jsonl"),  # two files in one nested multipart/mixed
    ],
)
def test_text_in_place_of_a_file_is_refused(gateway: Gateway, tmp_path: Path, form: tuple[str, ...]) -> None:
    for name in ("data.jsonl", "other.jsonl"):
        (tmp_path / name).write_text("{}\n", encoding="utf-8")
    headers = ("-H", f"Authorization: Bearer {gateway.api_key}")
    url = f"{gateway.api_url}/files"
    answer = json.loads(run("curl", "-sS", url, *headers, "-F", "purpose=user_data", *form, cwd=tmp_path))
    assert answer["error"]["param"] == "file"


@pytest.mark.parametrize(
    ("name", "saved"),
    [("report 1.txt", "report 1.txt"), ("测试.txt", "__.txt"), ('quo"te.txt', "quo_te.txt")],
)
def test_a_download_is_saved_under_a_name(gateway: Gateway, tmp_path: Path, name: str, saved: str) -> None:
    headers = ("-H", f"Authorization: Bearer {gateway.api_key}", "-H", "x-tfy-provider-name: local")
    (tmp_path / "sent").write_text("ü", encoding="utf-8")
    quoted = name.replace('"', '\\"')
    file = f'file=@sent;filename="{quoted}";type=text/plain;charset=utf-8'
    url = f"{gateway.api_url}/files"
    created = json.loads(
        run("curl", "-sS", url, *headers, "-F", "purpose=user_data", "-F", file, cwd=tmp_path)
    )
    assert created["filename"] == name
    run("curl", "-sSOJ", "--fail", *headers, f"{url}/{created['id']}/content", cwd=tmp_path)
    assert (tmp_path / saved).read_text(encoding="utf-8") == "ü"
