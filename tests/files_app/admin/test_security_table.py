"""The table in docs/security.md is what the admin does: each line is tried by each of the three people.

A line names what is tried in its second column: `MODEL view|add|change|delete|share`, `MODEL action NAME`,
`MODEL page NAME`, `NAME page`, or `MODEL set FIELD=VALUE`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.db import transaction
from django.db.models import Model
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoDbBlocker

from files_app.models import (
    ApiKey,
    AuditEvent,
    DailyUsage,
    File,
    FileCopy,
    FileJob,
    JobKind,
    LegalHold,
    Organization,
    ProviderAccount,
    StaffAccess,
    TrashedFile,
    WebhookDelivery,
    WebhookEndpoint,
)
from files_app.services.accounts import credentials
from files_app.services.accounts.saving import save_account
from files_app.services.bulk import work
from files_app.services.index.metering import report
from files_app.services.operations import on_request
from files_app.services.tenants.staff_roles import role_of
from tests.files_app.admin.conftest import World, body_of, world
from tests.files_app.admin.test_visibility import admin_paths
from tests.files_app.rows import kept

SECURITY = Path(__file__).parents[3] / "docs" / "security.md"
PASSWORD = "a-long-enough-password"
PEOPLE = ("Bound owner", "Owner of all", "Superuser")
MODELS: Mapping[str, type[Model]] = {
    model._meta.model_name or "": model
    for model in (
        *(Organization, ApiKey, ProviderAccount, File, FileCopy, AuditEvent, User),
        *(LegalHold, TrashedFile, WebhookEndpoint, WebhookDelivery, FileJob),
    )
}
#: Django's and unfold's own addresses, which show no rows but by the pages of the models.
FRAMEWORK = ("(?P<app_label>", "/autocomplete/", "/jsi18n/", "/r/<", "/search/")


@dataclass(frozen=True)
class Line:
    """A line of the table: what is tried, and what each person may do."""

    deed: str
    allowed: Mapping[str, str]


def table() -> list[Line]:
    text = SECURITY.read_text()
    rows = text.partition("<!-- roles:start -->")[2].partition("<!-- roles:end -->")[0].strip().splitlines()
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    assert tuple(cells[0][2:]) == PEOPLE
    return [Line(deed.strip("`"), dict(zip(PEOPLE, may, strict=True))) for _, deed, *may in cells[2:] if deed]


@dataclass
class Cast:
    """Two organizations, a user who is nobody in particular, and the three people, signed in."""

    own: World
    foreign: World
    somebody: User
    clients: Mapping[str, Client]

    def rows(self, model: str) -> tuple[Any, Any]:
        """Return a row of the bound owner's organization and one of the other's."""
        if model == "user":
            return self.somebody, self.somebody
        names = {
            "apikey": "key",
            "provideraccount": "account",
            "filecopy": "dead",
            "auditevent": "event",
            "legalhold": "hold",
            "trashedfile": "trashed",
            "webhookendpoint": "webhook",
            "webhookdelivery": "told",
            "filejob": "job",
        }
        name = names.get(model, model)
        return getattr(self.own, name), getattr(self.foreign, name)


def sign_in(name: str, *, sight: Organization | None = None, is_superuser: bool = False) -> Client:
    """Make a user and send the form of the sign-in page."""
    user = User.objects.create_user(name, password=PASSWORD, is_staff=True, is_superuser=is_superuser)
    if not is_superuser:
        user.groups.add(Group.objects.get(name="Owner"))
        access = StaffAccess.objects.create(user=user, sees_all_organizations=sight is None)
        access.organizations.set([sight] if sight else [])
    client = Client()
    answer = client.post(reverse("admin:login"), {"username": name, "password": PASSWORD, "next": "/admin/"})
    assert answer.status_code == 302
    return client


@pytest.fixture(scope="module")
def made(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Cast]:
    with kept(django_db_blocker):
        own, foreign = world("ours"), world("zzforeign")
        for each in (own, foreign):
            used = {"organization": each.organization, "key_id": each.key.pk, "key_name": each.key.name}
            DailyUsage.objects.create(day=report.today(), requests=1, **used)
        clients = {
            "Bound owner": sign_in("bound", sight=own.organization),
            "Owner of all": sign_in("unbound"),
            "Superuser": sign_in("super", is_superuser=True),
        }
        somebody = User.objects.create_user("somebody", password=PASSWORD, is_staff=True)
        somebody.groups.add(Group.objects.get(name="Read-only"))
        StaffAccess.objects.create(user=somebody).organizations.add(own.organization)
        yield Cast(own, foreign, somebody, clients)


@pytest.fixture
def cast(made: Cast, db: None, monkeypatch: pytest.MonkeyPatch) -> Cast:
    # It has a thread of its own, which would wait for this test's transaction to end.
    monkeypatch.setattr(on_request, "sync_for", lambda account, caller, on_progress: None)
    return Cast(deepcopy(made.own), deepcopy(made.foreign), deepcopy(made.somebody), made.clients)


@pytest.mark.parametrize("line", table(), ids=lambda line: line.deed)
@pytest.mark.parametrize("person", PEOPLE)
def test_the_table_says_what_the_admin_does(cast: Cast, line: Line, person: str) -> None:
    attempt = attempt_of(line.deed, cast, cast.clients[person])
    done = undone(attempt, 0), undone(attempt, 1)
    assert {(True, True): "every", (True, False): "own", (False, False): "no"}[done] == line.allowed[person]


def test_the_table_has_every_model_action_and_page() -> None:
    deeds = {line.deed for line in table()}
    registered = {model._meta.model_name or "": site for model, site in admin.site._registry.items()}
    expected = {f"{name} {deed}" for name in registered for deed in ("view", "add", "change", "delete")} | {
        f"{name} action {action.__name__}" for name, site in registered.items() for action in site.actions
    }
    assert deeds >= expected
    assert {deed for deed in deeds if " action " in deed} <= expected
    assert {deed for deed in deeds if "page" in deed} == set(pages())
    assert registered.keys() == MODELS.keys()


def pages() -> Iterator[str]:
    """Yield the pages beside the lists and forms that every model has."""
    usual = r"(<path:object_id>/((change|delete|history)/)?|add/)?"
    for path in admin_paths():
        if any(part in f"/{path}" for part in FRAMEWORK):
            continue
        found = re.fullmatch(r"admin/(?:files_app|auth)/(\w+)/(.*)", path)
        if found is None:
            yield {"admin/": "index page"}.get(path) or f"{path[6:-1].replace('/', '_')} page"
        elif not re.fullmatch(usual, found[2]):
            name = found[2].rstrip("/").rpartition("/")[2]
            yield f"{found[1]} page {'password_change' if name == 'password' else name}"


# -- the attempts: 0 at the own organization, 1 at the other ------------------------------------------------

Attempt = Callable[[int], bool]


def undone(attempt: Attempt, which: int) -> bool:
    """Return what an attempt says, and undo what it did."""
    with transaction.atomic():
        was_done = attempt(which)
        transaction.set_rollback(True)
    return was_done


def attempt_of(deed: str, cast: Cast, client: Client) -> Attempt:
    """Return what tries a line, and says whether it was done."""
    subject, verb, *rest = deed.split(" ", 2)
    if verb == "page" and not rest:
        return lambda which: sees_page(cast, client, subject, which)
    rows = cast.rows(subject)
    works: dict[str, Attempt] = {
        "view": lambda which: is_listed(cast, client, subject, which),
        "add": lambda which: adds(cast, client, subject, which),
        "share": lambda which: adds_account(client, f"made-{which}", "shared"),
        "change": lambda which: changes(client, subject, rows[which]),
        "delete": lambda which: deletes(cast, client, subject, which),
        "action": lambda which: acts(client, subject, rest[0], cast, which),
        "page": lambda which: opens(client, subject, rest[0], cast, which),
        "set": lambda which: sets(cast, client, subject, rest[0], which),
    }
    return works[verb]


def mark(cast: Cast, which: int) -> bytes:
    return (cast.own, cast.foreign)[which].mark.encode() + b"-"


def address(subject: str, view: str, *args: object) -> str:
    app = MODELS[subject]._meta.app_label
    return reverse(f"admin:{app}_{subject}_{view}", args=args)


def is_listed(cast: Cast, client: Client, subject: str, which: int) -> bool:
    expected = b"somebody" if subject == "user" else mark(cast, which)
    return expected in body_of(client.get(address(subject, "changelist")))


def adds(cast: Cast, client: Client, subject: str, which: int) -> bool:
    organization = (cast.own, cast.foreign)[which].organization
    if subject == "provideraccount":
        return adds_account(client, f"made-{which}", organization.pk)
    given = {
        "organization": {"quota_bytes": "1 GiB", "max_file_bytes": "1 MiB", "max_files": "1"},
        "apikey": {"organization": organization.pk, "scopes": ["files:read"]},
        "user": {"username": f"made-{which}", "role": "Owner", "sight": "every", "sign_in": "generated"},
        "legalhold": {"organization": organization.pk, "reason": "why", "filename": "any"},
        "webhookendpoint": {
            "organization": organization.pk,
            "url": "https://1.1.1.1/",
            "kinds": ["file.lost"],
        },
    }
    rows = MODELS[subject]._default_manager
    before = rows.count()
    client.post(address(subject, "add"), {"name": f"made-{which}", **given.get(subject, {})})
    return rows.count() == before + 1


def adds_account(client: Client, name: str, organization: object) -> bool:
    data = {"name": name, "organization": organization, "is_enabled": "on", "list_freshness_seconds": "30"}
    client.post(f"{address('provideraccount', 'add')}?driver=local", data)
    owner = None if organization == "shared" else organization
    return ProviderAccount.objects.filter(name=name, organization=owner).exists()


def changes(client: Client, subject: str, row: Any) -> bool:
    """Whether a form that is sent back with another name, or whatever a POST does there, changes the row."""
    before = columns(row)
    page = client.get(address(subject, "change", row.pk))
    other = {"name": "other", "first_name": "other", "overlap": "0"}
    client.post(address(subject, "change", row.pk), {**sent_back(page), **other})
    return columns(row) != before


def columns(row: Any) -> dict[str, Any]:
    fresh = type(row)._default_manager.get(pk=row.pk)
    return {field.attname: getattr(fresh, field.attname) for field in fresh._meta.concrete_fields}


def deletes(cast: Cast, client: Client, subject: str, which: int) -> bool:
    row = cast.rows(subject)[which]
    if subject == "provideraccount":
        row = ProviderAccount(organization=row.organization, name=f"empty-{which}", driver="local")
        save_account(row)
    elif subject == "user":
        row = User.objects.create_user(f"gone-{which}")
    client.post(address(subject, "delete", row.pk), {"post": "yes"})
    return not type(row)._default_manager.filter(pk=row.pk).exists()


def acts(client: Client, subject: str, action: str, cast: Cast, which: int) -> bool:
    row = cast.rows(subject)[which]
    if action == "retry_deletion":
        row = (cast.own, cast.foreign)[which].dead.file
    data = {"action": action, "_selected_action": [row.pk], "confirmed": "1", "never": "on", "reason": "why"}
    answer = client.post(address(subject, "changelist"), data)
    if action.startswith(("export_", "archive_")):
        return answer.streaming and mark(cast, which) in body_of(answer)
    outcomes = (answer.context or {}).get("outcomes", [])
    return [outcome.ok for outcome in outcomes] == [True]


def opens(client: Client, subject: str, page: str, cast: Cast, which: int) -> bool:
    """Whether a page of a row, or of a list, does its work; 415: what was read is no picture and no PDF."""
    if page == "password_change":
        where = reverse("admin:auth_user_password_change", args=[cast.somebody.pk])
        return client.get(where).status_code == 200
    if page in {"requests", "show"}:
        return opens_requests(client, page, cast.rows(subject)[which])
    if page == "facets":
        account = (cast.own, cast.foreign)[which].account
        answer = client.get(address(subject, page))
        return answer.status_code == 200 and str(account.pk) in json.loads(body_of(answer))["account"]
    if page in {"export", "free", "bulk"}:
        question = {"kind": "delete"} if page == "bulk" else {}
        return mark(cast, which) in body_of(client.get(address(subject, page), question))
    if page == "exported":
        job = cast.rows(subject)[which]
        FileJob.objects.filter(pk=job.pk).update(kind=JobKind.EXPORT)
        work.take_turn(job.pk)
        return mark(cast, which) in body_of(client.get(address(subject, page, job.pk)))
    if page == "report":
        return mark(cast, which) in body_of(client.get(address(subject, page, cast.rows(subject)[which].pk)))
    where = address(subject, page, cast.rows(subject)[which].pk)
    if page == "confirm":
        return client.post(where).status_code == 302
    answer = client.get(where) if page in {"image", "pdf", "folders"} else client.post(where)
    body_of(answer)
    return answer.status_code in {200, 415}


def opens_requests(client: Client, page: str, file: File) -> bool:
    """Whether the requests of a file are shown, or one of them: each line counts as one."""
    File.objects.filter(pk=file.pk).update(purpose="batch")
    client.post(address("file", "requests", file.pk))
    if page == "requests":
        return b"request-0" in body_of(client.get(address("file", page, file.pk)))
    return b"line one" in body_of(client.post(address("file", page, file.pk, 0)))


def sees_page(cast: Cast, client: Client, page: str, which: int) -> bool:
    organization = (cast.own, cast.foreign)[which].organization
    if page == "upload_send":
        where = f"{reverse('admin:upload_send')}?organization={organization.pk}&purpose=user_data&filename=x"
        return client.put(where, b"bytes", content_type="text/plain").status_code == 200
    answer = client.get(reverse(f"admin:{page}"))
    names_nobody = page in {"system", "invitation"}
    return answer.status_code == 200 and (names_nobody or mark(cast, which) in body_of(answer))


def sets(cast: Cast, client: Client, subject: str, assignment: str, which: int) -> bool:
    """Whether a field has another value after the form was sent with one."""
    name, _, value = assignment.partition("=")
    row = cast.rows(subject)[which]
    if name.startswith("credential_"):
        row = ProviderAccount(organization=row.organization, name=f"openai-{which}", driver="openai")
        save_account(row, {"api_key": "the-old-secret"})
    if name == "confirm_operators":
        ProviderAccount.objects.filter(pk=row.pk).update(is_operators=False)
    given = {"OTHER": cast.rows("organization")[1 - which].pk}
    before = value_of(row, name)
    where = address(subject, "change", row.pk)
    data = {**sent_back(client.get(where)), name: given.get(value, value)}
    client.post(where, data)
    return value_of(row, name) != before


def value_of(row: Any, field: str) -> Any:
    fresh = type(row)._default_manager.get(pk=row.pk)
    if field.startswith("option_"):
        return fresh.options.get(field.removeprefix("option_"))
    if field.startswith("credential_"):
        return credentials.unseal(fresh)
    if field == "confirm_operators":
        return fresh.is_operators
    if field == "role":
        return role_of(fresh)
    if field == "sight":
        return fresh.staff_access.sees_all_organizations
    return fresh.is_active if field == "can_sign_in" else getattr(fresh, field)


def sent_back(page: Any) -> dict[str, Any]:
    """Return what a browser sends of a form that nobody has touched; nothing where there is none."""
    if page.status_code != 200 or not page.context or "adminform" not in page.context:
        return {}
    sets = [each.formset for each in page.context["inline_admin_formsets"]]
    forms = [
        page.context["adminform"].form,
        *(form for each in sets for form in (each.management_form, *each)),
    ]
    return {
        field.html_name: "on" if value is True else value
        for form in forms
        for field in form
        if (value := field.value()) is not None and value is not False
    }
