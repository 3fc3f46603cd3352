"""Commands as a shell runs them: exit codes, pipes, terminals, memory, and no traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import wait_until
from tests.stack import PROJECT, Stack

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Stack:
    """A gateway's data without its processes."""
    stack = Stack(tmp_path_factory.mktemp("stack"))
    stack.prepare()
    return stack


def command(*arguments: str) -> list[str]:
    return [sys.executable, str(PROJECT / "manage.py"), *arguments]


def peak_memory(stack: Stack, *arguments: str) -> int:
    """Run a command to its end and return the most memory it took, in bytes."""
    process = subprocess.Popen(
        command(*arguments), env=stack.environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    with process:
        assert process.stderr is not None
        errors = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, errors
    return usage.ru_maxrss * 1024


def test_a_command_line_that_cannot_be_understood_is_2(prepared: Stack) -> None:
    done = prepared.manage("files", check=False)
    assert (done.returncode, done.stdout) == (2, ""), done
    assert "usage:" in done.stderr


def test_what_is_not_there_is_1_and_one_line(prepared: Stack) -> None:
    done = prepared.manage("files", "show", "file-nothing", check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1


def test_a_command_that_would_ask_refuses_in_a_pipe(prepared: Stack) -> None:
    done = prepared.manage("keys", "revoke", "first-start", stdin="y\n", check=False)
    assert (done.returncode, "--yes" in done.stderr) == (2, True)


def test_a_person_is_asked_on_a_terminal(prepared: Stack) -> None:
    prepared.manage("keys", "create", "--organization", "default", "--name", "asked")
    for answer, code in ((b"n\n", 1), (b"y\n", 0)):
        ours, theirs = os.openpty()
        os.write(ours, answer)
        done = subprocess.run(
            command("keys", "revoke", "asked"),
            env=prepared.environment,
            stdin=theirs,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        os.close(ours)
        os.close(theirs)
        assert done.returncode == code, done
        assert "[y/N]" in done.stderr


def test_progress_is_drawn_on_a_terminal_and_not_in_a_pipe(prepared: Stack, tmp_path: Path) -> None:
    path = tmp_path / "data.bin"
    path.write_bytes(os.urandom(8 * MIB))
    upload = ("files", "upload", str(path), "--organization", "default", "--json")
    assert prepared.manage(*upload).stderr == ""
    ours, theirs = os.openpty()
    done = subprocess.run(
        command(*upload),
        env=prepared.environment,
        stdout=subprocess.PIPE,
        stderr=theirs,
        timeout=60,
        check=True,
    )
    os.close(theirs)
    assert json.loads(done.stdout)["bytes"] == 8 * MIB
    with os.fdopen(ours, "rb") as terminal:
        assert b"\r\x1b[K" in terminal.read1(65_536)


def test_logs_do_not_get_into_results(prepared: Stack) -> None:
    prepared.manage(
        "shell",
        "-c",
        "from files_app.models import Organization; Organization.objects.update(reserved_bytes=5)",
    )
    done = prepared.manage("orgs", "recount", "--json")
    assert json.loads(done.stdout)[0]["is_mended"] is True
    assert "usage_drift" in done.stderr


def test_a_reader_that_has_seen_enough_causes_no_traceback(prepared: Stack) -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        command("keys", "list"),
        env=prepared.environment,
        stdout=write,
        stderr=subprocess.PIPE,
        timeout=60,
        check=False,
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (141, b"")


def test_transfers_take_constant_memory(prepared: Stack, tmp_path: Path) -> None:
    path = tmp_path / "large.bin"
    with path.open("wb") as file:
        file.truncate(96 * MIB)
    idle = peak_memory(prepared, "files", "list")
    allowed = idle + 32 * MIB
    assert peak_memory(prepared, "files", "upload", str(path), "--organization", "default") < allowed
    (row,) = json.loads(prepared.manage("files", "list", "--name", "large.bin", "--json").stdout)
    target = str(tmp_path / "back.bin")
    assert peak_memory(prepared, "files", "download", row["id"], "-o", target) < allowed
    assert Path(target).stat().st_size == 96 * MIB
    assert peak_memory(prepared, "files", "verify", row["id"]) < allowed


def test_a_database_that_is_not_migrated_is_said_in_one_line(prepared: Stack, tmp_path: Path) -> None:
    empty = Stack(tmp_path / "empty")
    done = empty.manage("files", "list", check=False)
    assert done.returncode == 1
    assert "`manage.py bootstrap`" in done.stderr and "Traceback" not in done.stderr
    report = empty.manage("doctor", "--json", check=False)
    found = {finding["area"]: finding["level"] for finding in json.loads(report.stdout)["findings"]}
    assert (found["database"], found["migrations"]) == ("ok", "problem")


@pytest.mark.parametrize("arguments", [["showmigrations"], ["files", "--help"], ["files", "list"]])
def test_a_reader_that_leaves_is_no_traceback(prepared: Stack, arguments: list[str]) -> None:
    done = subprocess.run(
        ["sh", "-c", '"$@" | true', "sh", *command(*arguments)],
        env=prepared.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""


def test_doctor_finds_nothing_wrong_with_a_running_gateway(stack: Stack) -> None:
    def is_well() -> bool:
        findings = json.loads(stack.manage("doctor", "--json", check=False).stdout)["findings"]
        # Whether one web process suits the machine of the tests is not asked.
        return all(found["level"] == "ok" for found in findings if found["area"] != "capacity")

    wait_until(is_well, seconds=80, what="the first heartbeat of the worker")


def said(directory: Path, *arguments: str, is_damaged: bool) -> str:
    """Run a command on a database that nobody has set up, or that is none, and return what it says."""
    stack = Stack(directory)
    if is_damaged:
        (stack.data_dir / "gateway.sqlite3").write_bytes(b"no database" * 1_000)
    done = stack.manage(*arguments, check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("command", ["reconcile", "doctor --offline"])
def test_before_the_first_start_a_command_says_so(tmp_path: Path, command: str) -> None:
    words = said(tmp_path, *command.split(), is_damaged=False)
    assert "Start the gateway once, or run `manage.py bootstrap`." in words
    assert "readiness" not in words  # nor what the log would say


@pytest.mark.parametrize(
    "command", ["reconcile", "doctor --offline", "bootstrap", "migrate", "run", "run web", "run worker"]
)
def test_a_damaged_database_is_called_that(tmp_path: Path, command: str) -> None:
    words = said(tmp_path, *command.split(), is_damaged=True)
    assert "file is not a database" in words
    assert "put its backup in place: docs/operations/backup.md" in words
