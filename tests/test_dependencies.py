"""What is installed is what the locks say, and nothing in the locks is older than its last known weakness."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable
from importlib import metadata
from typing import NamedTuple

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.stack import PROJECT

SOURCES = {
    "requirements.lock": ["requirements.txt"],
    "requirements-dev.lock": ["requirements.txt", "requirements-dev.txt"],
}

# The least safe versions, for machines that reach no source of advisories; `make audit` asks one.
LEAST_SAFE = {
    "authlib": ("1.6.6", "CVE-2025-68158: a sign-in begun by somebody else; CVE-2025-59420: unknown headers"),
    "celery": ("5.6", "logged the broker's address with its password"),
    "certifi": ("2024.7.4", "CVE-2024-39689: trusted roots that were withdrawn"),
    "cryptography": ("46.0.7", "CVE-2026-39892: buffer overflow; CVE-2026-26007: leaks a private key"),
    "django": (
        "5.2.19",
        "CVE-2026-33033, CVE-2026-5766 and later ones of 5.2: uploads exhaust CPU and memory",
    ),
    "djangorestframework": ("3.15.2", "CVE-2024-21520: scripts in its pages"),
    "gunicorn": ("23.0.0", "CVE-2024-6827: request smuggling"),
    "idna": ("3.7", "CVE-2024-3651: quadratic time"),
    "multipart": ("2.0.1", "bounds on headers and parts, which the upload parser relies on"),
    "protobuf": ("6.33.5", "CVE-2026-0994: endless recursion"),
    "pyasn1": ("0.6.2", "CVE-2026-23490: exhausts memory"),
    "pyyaml": ("5.4", "CVE-2020-14343: runs code"),
    "redis": ("4.5.4", "CVE-2023-28859: answers go to another request"),
    "requests": ("2.32.4", "CVE-2024-47081: sends .netrc passwords to another host"),
    "sqlparse": ("0.5.0", "CVE-2024-4340: endless recursion"),
    "urllib3": (
        "2.7",
        "CVE-2026-21441, CVE-2026-44431, CVE-2026-44432: bombs, headers that follow redirects",
    ),
}


def lines(name: str) -> list[str]:
    """Return the requirements of a file, one each, without comments, options and line breaks."""
    text = re.sub(r"\\\n", " ", (PROJECT / name).read_text())
    stripped = (re.sub(r"(?:^|\s)#.*", "", line).strip() for line in text.splitlines())
    return [line for line in stripped if line and not line.startswith("-")]


class Pin(NamedTuple):
    version: str  # "==1.2.3"
    hashes: frozenset[str]
    marker: Marker | None


def locked(name: str) -> dict[str, Pin]:
    """Return name -> pin of a lock."""
    found: dict[str, Pin] = {}
    for line in lines(name):
        text, *hashes = (part.strip() for part in line.split("--hash="))
        requirement = Requirement(text)
        key = canonicalize_name(requirement.name)
        assert key not in found, f"{key} is in {name} twice"
        found[key] = Pin(str(requirement.specifier), frozenset(hashes), requirement.marker)
    return found


def applies(marker: Marker | None, extras: Iterable[str] = ()) -> bool:
    return marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras))


def needed(roots: Iterable[Requirement]) -> dict[str, str]:
    """Return name -> version of what is installed for these requirements, they and all below them."""
    seen: set[tuple[str, frozenset[str]]] = set()
    todo = list(roots)
    while todo:
        requirement = todo.pop()
        visit = (canonicalize_name(requirement.name), frozenset(requirement.extras))
        if visit not in seen:
            seen.add(visit)
            below = map(Requirement, metadata.requires(requirement.name) or ())
            todo += [each for each in below if applies(each.marker, requirement.extras)]
    return {name: metadata.version(name) for name, _ in seen}


@pytest.mark.parametrize("name", SOURCES)
def test_a_lock_pins_everything_by_version_and_hash(name: str) -> None:
    for key, pin in locked(name).items():
        assert re.fullmatch(r"==[^*,]+", pin.version), key
        assert pin.hashes and all(re.fullmatch(r"sha256:[0-9a-f]{64}", each) for each in pin.hashes), key


@pytest.mark.parametrize("name", SOURCES)
def test_a_lock_takes_wheels_only_and_names_no_host(name: str) -> None:
    text = (PROJECT / name).read_text()
    assert "--only-binary :all:\n" in text
    assert "://" not in text


@pytest.mark.parametrize(("name", "sources"), SOURCES.items())
def test_a_lock_is_what_the_requirements_need_and_what_is_installed(name: str, sources: list[str]) -> None:
    lock = locked(name)
    direct = [Requirement(line) for source in sources for line in lines(source)]
    for each in direct:
        assert lock[canonicalize_name(each.name)].version == str(each.specifier), "run `make lock`"
    here = {key: pin.version for key, pin in lock.items() if applies(pin.marker)}
    assert here == {key: f"=={version}" for key, version in needed(direct).items()}


def test_tests_run_on_what_users_run_on() -> None:
    tested = locked("requirements-dev.lock")
    for key, pin in locked("requirements.lock").items():
        assert (tested[key].version, tested[key].hashes) == (pin.version, pin.hashes), key


@pytest.mark.parametrize("name", LEAST_SAFE)
def test_nothing_is_older_than_its_last_known_weakness(name: str) -> None:
    least, reason = LEAST_SAFE[name]
    pinned = locked("requirements-dev.lock")[name].version.removeprefix("==")
    for version in (pinned, metadata.version(name)):
        assert Version(version) >= Version(least), reason


@pytest.mark.parametrize("target", ["run", "test"])
def test_make_installs_from_the_locks_alone(target: str) -> None:
    command = ["make", "--dry-run", "--always-make", target]
    planned = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)
    installs = re.findall(r"pip .*\binstall\b.*", planned.stdout)
    assert installs
    for line in installs:
        assert "--require-hashes" in line
        assert set(re.findall(r"-r (\S+)", line)) <= SOURCES.keys()
