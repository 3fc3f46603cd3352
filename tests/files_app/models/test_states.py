"""States change along the tables of transitions, by `to`, and in no other way."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from datetime import timedelta
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from _pytest.mark import ParameterSet
from django.utils import timezone

from files_app.models import CopyState, File, FileCopy, FileState, Organization, ProviderAccount
from files_app.models.states import COPY_TRANSITIONS, FILE_TRANSITIONS, TransitionError
from tests.files_app.rows import force
from tests.stack import PROJECT

Row = File | FileCopy
Model = type[File] | type[FileCopy]

TABLES = ((File, FileState, FILE_TRANSITIONS), (FileCopy, CopyState, COPY_TRANSITIONS))
LONG_AGO = timezone.now() - timedelta(days=1)


def is_allowed(model: Model, before: str, after: str) -> bool:
    return after in model.objects.all().transitions[before]


def pairs(*, allowed: bool) -> list[ParameterSet]:
    """Return (model, before, after) for each pair of states that the table has, or has not."""
    return [
        pytest.param(model, before, after, id=f"{model.__name__}-{before}-{after}")
        for model, states, _ in TABLES
        for before, after in product(states, repeat=2)
        if is_allowed(model, before, after) is allowed
    ]


@pytest.fixture
def file(db: None) -> File:
    """A file in the index with one copy; nothing of it is at a provider."""
    organization = Organization.objects.create(name="acme")
    account = ProviderAccount.objects.create(organization=organization, name="disk", driver="local")
    file = File.objects.create(organization=organization, account=account, file_id="file-1")
    FileCopy.objects.create(file=file, account=account, remote_id="one")
    return file


def in_state(file: File, model: Model, state: str) -> Row:
    """Return the one row of the model, in this state since long ago."""
    force(model.objects, state=state, state_changed_at=LONG_AGO)
    return model.objects.get()


def columns(row: Row) -> dict[str, Any]:
    """Return the row as the database has it."""
    return dict(type(row).objects.filter(pk=row.pk).values().get())


def test_each_table_knows_every_state() -> None:
    for model, states, table in TABLES:
        assert model.objects.all().transitions is table
        assert set(table) == set(states)
        assert set().union(*table.values()) <= set(states)


# -- to --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("model", "before", "after"), pairs(allowed=True))
def test_a_step_of_the_table_is_made(file: File, model: Model, before: str, after: str) -> None:
    for origin in (before, None):
        row = in_state(file, model, before)
        expected = {**columns(row), "state": after, "lease_token": f"from {origin}"}
        begun = timezone.now()
        assert model.objects.filter(pk=row.pk).to(after, origin=origin, lease_token=f"from {origin}") == 1
        written = columns(row)
        assert begun <= written["state_changed_at"] <= timezone.now()
        times = {"state_changed_at", "stored_from", "stored_until"} & written.keys()
        assert written == {**expected, **{name: written[name] for name in times}}


@pytest.mark.parametrize(("model", "before", "after"), pairs(allowed=False))
def test_a_step_that_is_not_in_the_table_is_not_made(
    file: File, model: Model, before: str, after: str
) -> None:
    row = in_state(file, model, before)
    unchanged = columns(row)
    with pytest.raises(TransitionError, match=f"no way from .* to {after}"):
        model.objects.filter(pk=row.pk).to(after, origin=before, lease_token="mine")
    assert columns(row) == unchanged
    if any(is_allowed(model, each, after) for each in model.objects.all().transitions):
        assert model.objects.to(after, lease_token="mine") == 0  # only rows that may go are moved
    else:
        with pytest.raises(TransitionError, match=f"no way from .* to {after}"):
            model.objects.to(after, lease_token="mine")
    assert columns(row) == unchanged


def test_one_origin_that_does_not_lead_there_stops_them_all(file: File) -> None:
    row = in_state(file, FileCopy, CopyState.DEAD)
    with pytest.raises(TransitionError):
        FileCopy.objects.to(CopyState.DELETED, origin=[CopyState.DEAD, CopyState.FAILED])
    with pytest.raises(TransitionError):
        FileCopy.objects.to(CopyState.DELETED, origin=[])
    assert row.state == FileCopy.objects.get().state == CopyState.DEAD


def test_the_rows_of_other_origins_stay_where_they_are(file: File) -> None:
    in_state(file, FileCopy, CopyState.DEAD)
    FileCopy.objects.create(file=file, account=file.account, state=CopyState.DELETING)
    assert FileCopy.objects.to(CopyState.DELETED, origin=CopyState.DELETING) == 1
    assert set(FileCopy.objects.values_list("state", flat=True)) == {"dead", "deleted"}


def test_the_time_of_a_step_may_be_given(file: File) -> None:
    in_state(file, File, FileState.AVAILABLE)
    assert File.objects.to(FileState.DELETING, state_changed_at=LONG_AGO) == 1
    assert File.objects.get().state_changed_at == LONG_AGO


# -- what is refused -------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", [File, FileCopy])
def test_an_update_does_not_write_a_state(file: File, model: Model) -> None:
    row = in_state(file, model, "available")
    unchanged = columns(row)
    every_way = [model.objects, model.objects.filter(pk=row.pk), model.objects.order_by("pk")]
    if model is FileCopy:
        every_way += [file.copies, file.account.copies]
    for rows in every_way:
        with pytest.raises(TransitionError, match="by `to`"):
            rows.update(state="deleting", lease_token="mine")
    assert columns(row) == unchanged
    assert model.objects.update(lease_token="mine") == 1  # other columns are nobody's business
    assert columns(row) == {**unchanged, "lease_token": "mine"}


@pytest.mark.parametrize("model", [File, FileCopy])
def test_a_row_that_exists_is_not_saved(file: File, model: Model) -> None:
    row = in_state(file, model, "available")
    unchanged = columns(row)
    row.state = "deleting"
    for options in (
        {},
        {"update_fields": ["state"]},
        {"update_fields": ["lease_token"]},
        {"force_update": True},
    ):
        with pytest.raises(TransitionError, match="conditional updates"):
            row.save(**options)
    with pytest.raises(TransitionError):
        model.objects.update_or_create(pk=row.pk, defaults={"state": "deleting"})
    assert columns(row) == unchanged


@pytest.mark.parametrize("model", [File, FileCopy])
def test_rows_are_not_updated_in_bulk(file: File, model: Model) -> None:
    row = in_state(file, model, "available")
    unchanged = columns(row)
    row.state = "deleting"
    for name in ("state", "lease_token"):
        with pytest.raises(TransitionError):
            model.objects.bulk_update([row], [name])
    assert columns(row) == unchanged


# -- nobody goes round it --------------------------------------------------------------------------------

WRITERS = {"update", "aupdate", "bulk_update", "abulk_update", "update_or_create", "aupdate_or_create"}
#: Raw SQL that writes: there is none, so that nobody need read what it sets. What an INSERT does on a
#: conflict is another thing: no row with a state has a key that comes from elsewhere.
RAW_UPDATE = re.compile(r"(?<!\bDO )\bUPDATE\b.*\bSET\b", re.IGNORECASE | re.DOTALL)


def product_modules() -> Iterator[Path]:
    """Yield every module of the product beside the models and the migrations."""
    for package in ("gateway", "files_app", "providers"):
        for path in sorted((PROJECT / package).rglob("*.py")):
            if not {"models", "migrations"} & set(path.relative_to(PROJECT).parts):
                yield path


def names_state(node: ast.Call) -> bool:
    """Whether `state` is among the keywords of a call, or among the keys and words inside its arguments."""
    inside = [*node.args, *(keyword.value for keyword in node.keywords)]
    nodes = [each for argument in inside for each in ast.walk(argument)]
    words = {each.value for each in nodes if isinstance(each, ast.Constant)}
    return "state" in words | {keyword.arg for keyword in node.keywords}


def text_of(node: ast.AST) -> str:
    """Return what a piece of text says, with `?` for what is filled in; empty for anything else."""
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(piece) or "?" for piece in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def writes_a_state(node: ast.AST) -> bool:
    if RAW_UPDATE.search(text_of(node)):
        return True
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
        return False
    conflicts = any(keyword.arg == "update_fields" for keyword in node.keywords)
    is_writer = node.func.attr in WRITERS or (node.func.attr in {"bulk_create", "abulk_create"} and conflicts)
    return is_writer and names_state(node)


def found_in(source: str) -> list[int]:
    """Return the lines of a module that write a state."""
    nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.expr)]
    return sorted({node.lineno for node in nodes if writes_a_state(node)})


def test_only_the_models_write_a_state() -> None:
    modules = list(product_modules())
    assert PROJECT / "files_app/services/deletes/outbox.py" in modules
    found = [f"{path.relative_to(PROJECT)}:{line}" for path in modules for line in found_in(path.read_text())]
    assert found == []


@pytest.mark.parametrize(
    "source",
    [
        'File.objects.filter(pk=1).update(state="deleted")',
        'file.copies.update(lease_token="", **{"state": "dead"})',
        'models.QuerySet.update(rows, state="lost")',
        'FileCopy.objects.bulk_update(rows, ["state"])',
        'File.objects.update_or_create(pk=1, defaults={"state": "lost"})',
        'File.objects.bulk_create(rows, update_conflicts=True, update_fields=["state"])',
        'cursor.execute("UPDATE files_app_file SET state = %s", ["lost"])',
        'cursor.execute(f"update {table} set state = 1")',
    ],
)
def test_the_search_finds_every_way_round(source: str) -> None:
    assert found_in(source) == [1]


@pytest.mark.parametrize(
    "source",
    ['File.objects.filter(state="lost").update(bytes=1)', 'File.objects.to("lost")', "seen.update(other)"],
)
def test_the_search_finds_nothing_else(source: str) -> None:
    assert found_in(source) == []
