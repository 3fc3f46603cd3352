"""Commands equal the admin: what can be done there can be done in a shell, and the documentation says how."""

from __future__ import annotations

from tests.files_app.admin.commands_table import PAGE, deeds, known_commands, with_table

HINT = "run `python -m tests.files_app.admin.commands_table --write`"


def test_nothing_in_the_admin_lacks_its_command() -> None:
    lacking = [f"{deed.where}: {deed.what}" for deed in deeds() if not deed.command]
    assert lacking == [], "name the command in `BulkAction.command`, or in `commands` of the ModelAdmin"


def test_every_command_that_is_named_exists() -> None:
    assert {command for deed in deeds() for command in deed.commands} - known_commands() == set()


def test_the_table_is_up_to_date() -> None:
    text = PAGE.read_text()
    assert with_table(text) == text, HINT
