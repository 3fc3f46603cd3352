"""What a command says about itself, and about a command line that it cannot use."""

from __future__ import annotations

import pytest
from django.core.management import get_commands, load_command_class
from django.core.management.base import BaseCommand

GROUPS = [
    "files",
    "keys",
    "accounts",
    "orgs",
    "deletions",
    "staff",
    "sign_in",
    "retention",
    "audit",
    "webhooks",
]
SINGLE = ["reconcile", "rebuild_index", "rotate_encryption_keys", "doctor", "apply", "demo"]
#: Prints a script, of which JSON would be no use.
SCRIPTS = ["completion"]


def command(name: str) -> BaseCommand:
    return load_command_class(get_commands()[name], name)


def test_every_command_is_tested_here() -> None:
    ours = {name for name, app in get_commands().items() if app == "files_app"}
    assert ours == {*GROUPS, *SINGLE, *SCRIPTS}


@pytest.mark.parametrize("name", [*GROUPS, *SINGLE, *SCRIPTS])
def test_every_help_teaches_with_examples(name: str) -> None:
    text = command(name).create_parser("manage.py", name).format_help()
    assert "examples:\n  manage.py " + name in text
    assert "--json" in text or name not in SINGLE


@pytest.mark.parametrize(
    "arguments", [["files"], ["files", "nothing"], ["keys", "create"], ["files", "list", "--limit", "x"]]
)
def test_a_command_line_that_cannot_be_understood_is_2(
    restored_logging: None, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        command(arguments[0]).run_from_argv(["manage.py", *arguments])
    said = capsys.readouterr()
    assert (ended.value.code, said.out) == (2, "")
    assert "usage:" in said.err
