"""`manage.py files hold|holds|release`."""

from __future__ import annotations

import pytest

from files_app.models import File, LegalHold
from tests.files_app.cast import Tenant
from tests.files_app.management.shell import failing, good


def test_a_file_is_held_and_released(acme: Tenant, stored: str) -> None:
    assert good("files", "hold", stored, "--reason", "case 17", "--dry-run").out == "would hold 1 file\n"
    number = good("files", "hold", stored, "--reason", "case 17", "--json").json["hold"]
    assert "legal hold" in failing("files", "delete", stored, "--yes").out
    (row,) = good("files", "holds", "--json").json
    assert (row["hold"], row["files"], row["reason"], row["lifted_at"]) == (number, 1, "case 17", None)
    assert "--yes" in failing("files", "release", str(number), code=2).err
    assert (
        good("files", "release", str(number), "--yes").out == f"hold {number} is released; it kept 1 file\n"
    )
    assert good("files", "holds").err.startswith("No hold")
    assert good("files", "holds", "--all", "--json").json[0]["lifted_by"]


@pytest.mark.usefixtures("stored")
def test_all_that_match_are_held(acme: Tenant) -> None:
    conditions = ("--organization", "acme", "--purpose", "user_data", "--created-after", "2020-01-01")
    held = good("files", "hold", *conditions, "--reason", "case 17", "--json").json
    assert (held["files"], held["not_possible"]) == (1, 0)
    assert File.objects.get().is_held
    assert LegalHold.objects.get().filters["created_after"].startswith("2020-01-01")
    assert "purpose user_data" in good("files", "holds").out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ((), 2, "Name files, or an organization"),
        (("--organization", "acme"), 1, "at least one condition"),
        (("file-x", "--purpose", "batch"), 2, "not both"),
        (("file-nobody-has",), 1, "There is no file"),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(
    acme: Tenant, arguments: tuple[str, ...], code: int, message: str
) -> None:
    assert message in failing("files", "hold", *arguments, "--reason", "why", code=code).err


def test_a_hold_that_is_not_there_cannot_be_released(db: None) -> None:
    assert "There is no hold 7" in failing("files", "release", "7", "--yes").err
