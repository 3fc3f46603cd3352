"""`manage.py apply`."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from files_app.models import Organization
from files_app.services.operations import heartbeats
from files_app.services.tenants.keys import verify_key
from tests.files_app.management.shell import failing, good

pytestmark = pytest.mark.django_db


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A file with one organization and a key that has to be made."""
    path = tmp_path / "config.yaml"
    path.write_text("organizations:\n  - {name: acme, api_keys: [{name: ci}]}\n")
    return path


def test_it_says_what_changed_and_shows_a_new_key_once(config: Path) -> None:
    *changes, shown = good("apply", str(config)).out.splitlines()
    assert changes == ["created organization acme", "created API key acme/ci"]
    words, _, plain = shown.rpartition(" ")
    assert words == "API key acme/ci, shown only now:"
    assert verify_key(plain).name == "ci"
    assert good("apply", str(config)).out == "nothing changed\n"


def test_a_rehearsal_says_what_would_change(config: Path) -> None:
    lines = good("apply", str(config), "--dry-run").out.splitlines()
    assert lines == ["would have created organization acme", "would have created API key acme/ci"]
    assert not Organization.objects.exists()


def test_the_result_as_json(config: Path) -> None:
    result = good("apply", str(config), "--json").json
    assert result["changes"] == ["created organization acme", "created API key acme/ci"]
    assert verify_key(result["new_keys"]["acme/ci"]).name == "ci"


def test_pruning_is_asked_for(config: Path) -> None:
    good("apply", str(config))
    config.write_text("organizations: [{name: acme, api_keys: []}]")
    assert good("apply", str(config)).out == "nothing changed\n"
    assert good("apply", str(config), "--prune").out == "revoked API key acme/ci\n"


def test_it_reads_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("organizations: [{name: piped}]"))
    assert good("apply", "-").out == "created organization piped\n"


def test_a_mistake_is_one_line_with_file_and_place(config: Path) -> None:
    config.write_text("organizations:\n  - name: acme\n  - {name: other, max_files: many}\n")
    (line,) = failing("apply", str(config)).err.splitlines()
    assert line.startswith(f"{config}: organizations[1].max_files: must be a whole number")
    assert line.endswith("Nothing was applied.")
    assert not Organization.objects.exists()


def test_a_name_cannot_steer_the_terminal(config: Path) -> None:
    config.write_text('{"\\e[2J": 1}')
    assert "\x1b" not in failing("apply", str(config)).err


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    assert "Cannot read" in failing("apply", str(tmp_path / "nothing.yaml")).err
    (tmp_path / "binary").write_bytes(b"\xff\xfe\xff")
    assert "Cannot read" in failing("apply", str(tmp_path / "binary")).err


def test_a_credential_that_the_running_server_lacks_is_a_warning_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heartbeats.beat(heartbeats.WEB)
    monkeypatch.setenv("KEY_OF_THE_SHELL", "value-of-the-shell")
    config = tmp_path / "config.yaml"
    account = "{name: near, driver: openai, credentials: {api_key: env:KEY_OF_THE_SHELL}}"
    config.write_text(f"organizations:\n  - {{name: acme, provider_accounts: [{account}]}}\n")
    done = good("apply", str(config), "--json")
    assert done.json["changes"]
    assert "Warning: web@" in done.err
    assert "cannot read env:KEY_OF_THE_SHELL" in done.err
    assert "value-of-the-shell" not in done.out + done.err
