"""What can be done in the admin, and by which command, as both declare it.

    python -m tests.files_app.admin.commands_table --write     renews the table of docs/operations/commands.md

The deeds come from the admin's registry and addresses, the commands from the parsers of `manage.py`; in
between stands what an action or page says does the same (`command`, `commands`).
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

PAGE = Path(__file__).parents[3] / "docs" / "operations" / "commands.md"
START, END = "<!-- equal:start -->", "<!-- equal:end -->"


class Deed(NamedTuple):
    """One thing that the admin does: on which list, what, and by which commands too, with a comma between."""

    where: str
    what: str
    command: str

    @property
    def commands(self) -> list[str]:
        """Each of the commands."""
        return self.command.split(", ") if self.command else []


def deeds() -> list[Deed]:
    """Return everything that a superuser can do in the admin."""
    import files_app.admin.pages_of_models  # noqa: F401 - else no page is registered

    return [*_of_models(), *_of_pages()]


def _of_models() -> Iterator[Deed]:
    from django.contrib import admin
    from django.contrib.auth.models import User
    from django.test import RequestFactory
    from django.utils.text import capfirst

    request = RequestFactory().get("/")
    request.user = User(is_superuser=True, is_staff=True)
    for model, site in sorted(admin.site._registry.items(), key=lambda each: each[0]._meta.model_name or ""):
        title = getattr(site, "list_title", "") or capfirst(str(model._meta.verbose_name_plural))
        commands = getattr(site, "commands", {})
        for deed, permission in site.get_model_perms(request).items():
            is_shown_only = deed == "change" and not _has_form(site)
            if permission and not is_shown_only:
                yield Deed(title, {"view": "List"}.get(deed, deed.capitalize()), commands.get(deed, ""))
        for action in site.actions:
            yield Deed(title, action.short_description, getattr(action, "command", ""))


def _has_form(site: object) -> bool:
    """Whether rows are changed by a form; else by actions alone, which are deeds of their own."""
    from files_app.admin.base import ReadOnlyAdmin

    return not isinstance(site, ReadOnlyAdmin)


def _of_pages() -> Iterator[Deed]:
    from django.contrib import admin
    from django.utils.text import capfirst

    from tests.files_app.admin.test_security_table import MODELS, pages

    for line in pages():
        subject, _, name = line.partition(" page")
        name = name.strip()
        if not name:
            yield Deed("Pages", subject.replace("_", " ").capitalize(), admin.site.commands.get(subject, ""))
            continue
        site = admin.site._registry[MODELS[subject]]
        title = site.list_title or capfirst(str(MODELS[subject]._meta.verbose_name_plural))
        yield Deed(title, f"Page: {name.replace('_', ' ')}", getattr(site, "commands", {}).get(name, ""))


def known_commands() -> set[str]:
    """Return every command with its subcommand, as it is typed."""
    from files_app.management.completion import tree

    return {f"{name} {sub}".strip() for name, parsers in tree().items() for sub in parsers}


def without_admin() -> list[str]:
    """Return the commands that no page names: they are for scripts and for whoever runs the host."""
    named = {command for deed in deeds() for command in deed.commands}
    return sorted(known_commands() - named)


def render() -> str:
    """Return the table."""
    rows = sorted(set(deeds()))
    lines = [
        f"| {deed.where} | {deed.what} | {', '.join(f'`{each}`' for each in deed.commands)} |"
        for deed in rows
    ]
    rest = ", ".join(f"`{name}`" for name in without_admin())
    table = ["| Admin | What | Command |", "| --- | --- | --- |", *lines]
    return "\n".join([START, *table, "", f"For commands alone: {rest}.", END])


def with_table(text: str) -> str:
    """Return the page with the table in its place."""
    return re.sub(f"{START}.*?{END}", lambda match: render(), text, flags=re.DOTALL)


if __name__ == "__main__":
    import os

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    import django

    django.setup()
    if sys.argv[1:] == ["--write"]:
        PAGE.write_text(with_table(PAGE.read_text()))
    else:
        print(render())  # noqa: T201 - it is what was asked for
