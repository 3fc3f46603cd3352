"""How settings are read from the environment."""

import re
import stat
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_network
from itertools import count
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.urls import URLPattern, URLResolver

from gateway import environment
from gateway.api_settings import API_PATHS
from gateway.urls import urlpatterns


@pytest.mark.parametrize(("value", "expected"), [("true", True), ("ON", True), ("0", False), ("", False)])
def test_a_boolean_is_read(monkeypatch: pytest.MonkeyPatch, value: str, expected: bool) -> None:
    monkeypatch.setenv("FLAG", value)
    assert environment.boolean("FLAG") is expected


def test_a_typo_in_a_boolean_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLAG", "ture")
    with pytest.raises(ImproperlyConfigured, match="FLAG must be true or false; it is 'ture'"):
        environment.boolean("FLAG")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", False),
        ("no", False),
        ("True", True),
        ("10.0.0.0/8, fd00::/8", (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))),
        ("10.1.2.3", (ip_network("10.1.2.3/32"),)),
    ],
)
def test_a_switch_may_be_a_list_of_networks(
    monkeypatch: pytest.MonkeyPatch, value: str, expected: object
) -> None:
    monkeypatch.setenv("NETWORKS", value)
    assert environment.switch_or_networks("NETWORKS") == expected


@pytest.mark.parametrize("value", ["ture", "10.0.0.1/8", "10.0.0.0/8 fd00::/8", "10.0.0.0/8, true"])
def test_networks_that_are_none_are_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("NETWORKS", value)
    with pytest.raises(ImproperlyConfigured, match="NETWORKS must be true, false or a list of networks"):
        environment.switch_or_networks("NETWORKS")


@pytest.mark.parametrize("value", ["ten", "1.5", "-1"])
def test_a_number_that_makes_no_sense_is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("LIMIT", value)
    with pytest.raises(ImproperlyConfigured, match="LIMIT must be"):
        environment.integer("LIMIT", 5)


def test_an_empty_variable_means_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMIT", "")
    assert environment.integer("LIMIT", 5) == 5
    assert environment.host_names("LIMIT", "a, b") == ["a", "b"]


def test_an_unknown_choice_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORMAT", "xml")
    with pytest.raises(ImproperlyConfigured, match="FORMAT must be one of console, json"):
        environment.text("FORMAT", choices={"json", "console"})


def test_a_secret_is_read_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("new\nold\n")
    monkeypatch.setenv("KEYS_FILE", str(tmp_path / "keys"))
    assert environment.secret_words("KEYS") == ["new", "old"]


def test_a_secret_given_twice_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KEY", "value")
    monkeypatch.setenv("KEY_FILE", str(tmp_path / "key"))
    with pytest.raises(ImproperlyConfigured, match="KEY and KEY_FILE are both set"):
        environment.secret("KEY")


def test_a_secret_file_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KEY_FILE", str(tmp_path / "missing"))
    with pytest.raises(ImproperlyConfigured, match=r"KEY_FILE: cannot read .*missing"):
        environment.secret("KEY")


def test_a_secret_that_could_be_guessed_is_refused_and_not_repeated(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("hunter2\n")
    monkeypatch.setenv("TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("KEYS", "hunter2, " + "x" * 32)
    for read in (
        lambda: environment.secret("TOKEN", least=32),
        lambda: environment.secret_words("KEYS", least=32),
    ):
        with pytest.raises(
            ImproperlyConfigured, match=r"at least 32 characters; it has 7\. .*openssl"
        ) as refused:
            read()
        assert "hunter2" not in str(refused.value)


def test_an_older_secret_behind_a_long_one_may_be_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEYS", "x" * 32 + ", hunter2")
    assert environment.secret_words("KEYS", least=32) == ["x" * 32, "hunter2"]


@pytest.mark.parametrize("name", ["X-Forwarded-For", "X_Forwarded_For", "Client Address"])
def test_a_header_that_a_client_could_imitate_is_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("PROXY_HEADER", name)
    with pytest.raises(ImproperlyConfigured, match="PROXY_HEADER must have letters and digits only"):
        environment.header_name("PROXY_HEADER", "Forwarded")


def test_a_directory_that_cannot_be_written_says_what_to_set(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "file" / "data"))
    with pytest.raises(ImproperlyConfigured, match=r"DATA_DIR: cannot write to .* Set DATA_DIR to"):
        environment.directory("DATA_DIR", tmp_path)


def test_processes_that_start_together_agree_on_a_generated_secret(tmp_path: Path) -> None:
    numbers = count()
    with ThreadPoolExecutor(16) as pool:
        made = pool.map(
            lambda _: environment.generated_secret(
                tmp_path / "new" / "key", lambda: f"secret {next(numbers)}"
            ),
            range(64),
        )
    assert len(set(made)) == 1
    assert stat.S_IMODE((tmp_path / "new" / "key").stat().st_mode) == 0o600
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["key"]


@pytest.mark.parametrize("value", ["https://files.example.com", "a.example/", "a.example:8000", "a b", "a*"])
def test_a_host_with_more_than_its_name_is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("HOSTS", value)
    with pytest.raises(ImproperlyConfigured, match="HOSTS must have names of hosts"):
        environment.host_names("HOSTS")


def test_hosts_are_names_addresses_and_domains(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOSTS", "localhost, .example.com, 127.0.0.1, [::1], *")
    assert environment.host_names("HOSTS") == ["localhost", ".example.com", "127.0.0.1", "[::1]", "*"]


@pytest.mark.parametrize("value", ["https://a.example/", "https://a.example/admin", "a.example", "ftp://a"])
def test_an_origin_that_no_browser_sends_is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("ORIGINS", value)
    with pytest.raises(ImproperlyConfigured, match="ORIGINS must have origins without path"):
        environment.origins("ORIGINS")


def test_origins_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORIGINS", "https://a.example, http://127.0.0.1:8000, https://*.b.example")
    assert len(environment.origins("ORIGINS")) == 3


@pytest.mark.parametrize("value", ["v1", "/api/", "docs/admin", "a//b", "/", "<x>", "..", "a b"])
def test_a_path_that_would_hide_another_is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("ADMIN", value)
    with pytest.raises(ImproperlyConfigured, match="ADMIN must"):
        environment.url_path("ADMIN", "admin", taken=API_PATHS)


def test_the_paths_that_are_taken_are_those_of_the_routes() -> None:
    first_words = {re.split(r"[/^?]+", str(entry.pattern).lstrip("^"))[0] for entry in _routes(urlpatterns)}
    assert first_words - {"", "admin"} == API_PATHS - {"static"}


def _routes(entries: Sequence[URLPattern | URLResolver]) -> Iterator[URLPattern | URLResolver]:
    """Yield the routes, and those that are included where they are."""
    for entry in entries:
        if isinstance(entry, URLResolver) and not str(entry.pattern):
            yield from _routes(entry.url_patterns)
        else:
            yield entry


def test_a_file_that_is_no_text_is_named_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_bytes(b"hunter2\xff")
    monkeypatch.setenv("TOKEN_FILE", str(tmp_path / "secret"))
    for read in (lambda: environment.secret("TOKEN"), lambda: environment.read_file(tmp_path / "secret")):
        with pytest.raises(ImproperlyConfigured, match="holds no text in UTF-8") as refusal:
            read()
        assert "hunter2" not in str(refusal.value)
