"""What the pages say to type works when it is pasted."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
import tarfile
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.management import get_commands, load_command_class

from files_app.models import Organization, SecondFactor
from files_app.services.index.callers import system_caller
from files_app.services.tenants.keys import create_key
from files_app.services.tenants.sign_in import factors
from tests.files_app.cast import make_account
from tests.files_app.management.shell import manage
from tests.processes import Process, free_port, wait_until
from tests.stack import PROJECT, Stack, inherited_environment
from tests.test_documentation import DOCS, PAGES, documented_file, page_id

README = PROJECT / "README.md"


# -- what the README says to type ------------------------------------------------------------------------


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.+?)^```", README.read_text(), re.MULTILINE | re.DOTALL)


def pasted(block: str, stack: Stack) -> str:
    return block.replace("http://127.0.0.1:8000", stack.url).replace("fgw_...", stack.api_key)


def test_the_calls_of_the_readme_work_when_pasted(stack: Stack) -> None:
    (curl,) = [block for block in blocks("sh") if "curl" in block]
    answer = subprocess.run(
        ["sh", "-ec", pasted(curl, stack)],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert json.loads(answer.stdout)["object"] == "file"

    first, second = blocks("python")
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    printed = subprocess.run(
        [sys.executable, "-c", pasted(first, stack)],
        **{"cwd": PROJECT, "env": environment, "capture_output": True, "text": True, "timeout": 60},
    )
    assert printed.stdout.startswith(README.read_text()[:60]), printed.stderr

    compile(f"{first}\n{second}", "README", "exec")


def checkout(directory: Path) -> Path:
    """Return a copy of what runs: `.env` is looked for beside the code."""
    for name in ("gateway", "files_app", "providers", "templates"):
        shutil.copytree(PROJECT / name, directory / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PROJECT / "manage.py", directory)
    program = directory / ".venv" / "bin" / "python"
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')  # a link would look for its packages here
    program.chmod(0o700)
    return directory


def test_the_first_provider_account_works_when_pasted(tmp_path: Path) -> None:
    """The gateway reads the secret too: `apply` would say so if it did not."""
    copy = checkout(tmp_path / "checkout")
    secret, account = [block for block in blocks("sh") if ".env" in block or "apply" in block]
    environment = {**inherited_environment(), "PORT": str(free_port()), "WEB_WORKERS": "1"}

    def paste(block: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["sh", "-c", block],
            **{"cwd": copy, "env": environment, "capture_output": True, "text": True, "timeout": 60},
        )

    assert paste(secret).returncode == 0
    gateway = Process(
        [sys.executable, str(copy / "manage.py"), "run"], log=tmp_path / "log", environment=environment
    )
    gateway.start()
    try:
        runs = ['"part": "web", "event": "part_runs"', '"part": "worker", "event": "part_runs"']
        wait_until(lambda: all(each in gateway.output() for each in runs), seconds=60, what="both parts")
        done = paste(account.partition("accounts test")[0].rpartition("\n")[0])  # which would ask OpenAI
    finally:
        gateway.terminate()
    assert (done.returncode, done.stderr) == (0, "")
    assert "created provider account default/openai-main" in done.stdout


# -- what every page says to type ------------------------------------------------------------------------


def shell_blocks(page: Path) -> list[str]:
    found = re.findall(r"^( *)```sh\n(.+?)^ *```", page.read_text(), re.MULTILINE | re.DOTALL)
    return [textwrap.dedent(block) for _, block in found]


def documented_commands(page: Path) -> Iterator[list[str]]:
    """Yield name and arguments of each `manage.py NAME ...` of the page's blocks."""
    for block in shell_blocks(page):
        for line in block.replace("\\\n", " ").splitlines():
            for part in re.split(r"\s(?:\||&&|;)\s", line.partition(" #")[0]):
                if match := re.search(r"manage\.py (?!run\b)([a-z_]+.*)", part):
                    yield shlex.split(match[1])


@pytest.mark.parametrize("page", [page for page in PAGES if shell_blocks(page)], ids=page_id)
def test_a_shell_can_read_every_block(page: Path) -> None:
    for block in shell_blocks(page):
        done = subprocess.run(["sh", "-n"], input=block, capture_output=True, text=True, check=False)
        assert done.stderr == "", block


@pytest.mark.django_db
@pytest.mark.parametrize("page", [page for page in PAGES if [*documented_commands(page)]], ids=page_id)
def test_every_command_of_a_page_does_what_it_says(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ACME_KEY", "k" * 40)
    monkeypatch.setenv("OPENAI_API_KEY", "only-for-tests")
    monkeypatch.setenv("ACME_WEBHOOK_SECRET", "whsec_" + "A" * 43 + "=")
    acme = Organization.objects.create(name="acme")
    create_key(organization=acme, name="ci", caller=system_caller(acme.pk))
    for name in "admin", "anna":
        person = User.objects.create_superuser(name)
        SecondFactor.objects.create(user=person, secret=factors.new_secret(person))
    make_account(
        acme,
        "openai-main",
        "openai",
        options={},
        credentials={"api_key": "env:OPENAI_API_KEY"},
    )
    Path("config.yaml").write_text(documented_file())
    for name, *arguments in documented_commands(page):
        if arguments[:1] == ["test"] or "-" in arguments:  # asks OpenAI, or reads what another command says
            load_command_class(get_commands()[name], name).create_parser("manage.py", name).parse_args(
                arguments
            )
            continue
        done = manage(name, *arguments)
        assert done.code in ((0, 1) if name == "doctor" else (0,)), done


def test_the_backup_of_a_running_gateway_can_be_pasted(stack: Stack, tmp_path: Path) -> None:
    upload(stack)
    (block,) = shell_blocks(DOCS / "operations" / "backup.md")
    embedded = block.partition("# PostgreSQL")[0].replace(".venv/bin/python", sys.executable)
    environment = {**os.environ, "DATA_DIR": str(stack.data_dir)}
    subprocess.run(["sh", "-ec", embedded], cwd=tmp_path, env=environment, check=True, timeout=60)
    with contextlib.closing(sqlite3.connect(tmp_path / "backup.sqlite3")) as backup:
        assert backup.execute("SELECT count(*) FROM files_app_file").fetchone()[0] > 0
    with tarfile.open(tmp_path / "files.tar.gz") as files:
        assert {name.partition("/")[0] for name in files.getnames()} == {"files", "secrets"}


def upload(stack: Stack) -> None:
    (curl,) = [block for block in blocks("sh") if "curl" in block]
    command = ["sh", "-ec", pasted(curl, stack)]
    subprocess.run(command, cwd=PROJECT, check=True, timeout=30, stdout=subprocess.DEVNULL)
