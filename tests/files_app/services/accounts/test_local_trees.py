"""Accounts on disk: each in a folder of its own; older ones are moved there, or kept to their own files."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
from django.db import connection
from pytest_django import Settings

from files_app.exceptions import InvalidRequestError
from files_app.models import AuditEvent, File, FileCopy, Organization, ProviderAccount
from files_app.services.accounts.drivers import driver_for
from files_app.services.accounts.local_trees import settle_trees
from files_app.services.accounts.places import is_exclusive
from files_app.services.accounts.saving import save_account
from files_app.services.accounts.selection import forget_recent_accounts
from files_app.services.accounts.sharing import confirm_exclusive
from files_app.services.index.callers import system_caller
from files_app.services.operations.connection_test import check_connection
from files_app.services.operations.doctor import examine
from files_app.services.tenants.bootstrap import bootstrap
from files_app.services.upstream.reconcile import Orders, reconcile_account
from files_app.services.upstream.sync import sync_account
from providers.exceptions import ProviderConfigurationError
from tests.files_app.cast import Tenant, make_tenant
from tests.files_app.client import ApiClient

T = TypeVar("T")


@pytest.fixture(autouse=True)
def data_dir(settings: Settings, tmp_path: Path) -> Path:
    settings.DATA_DIR = tmp_path
    return tmp_path


@pytest.fixture
def first(db: None) -> Tenant:
    return make_tenant("first")


@pytest.fixture
def second(db: None) -> Tenant:
    return make_tenant("second")


def older_account(owner: Tenant | None, directory: str = "", **fields: Any) -> ProviderAccount:
    """Make an account as it was made before accounts had folders of their own."""
    return ProviderAccount.objects.create(
        organization=owner and owner.organization,
        driver="local",
        options={"directory": directory} if directory else {},
        **{"name": "disk", "is_default": True, "list_freshness_seconds": 0, **fields},
    )


def fresh(account: ProviderAccount) -> ProviderAccount:
    forget_recent_accounts()
    return ProviderAccount.objects.get(pk=account.pk)


def ids(api: ApiClient) -> list[str]:
    return [file["id"] for file in api.listed()["data"]]


def content(api: ApiClient, file_id: str) -> bytes | int:
    reply = api.get(f"/files/{file_id}/content")
    return reply.body if reply.status == 200 else reply.status


# -- new accounts --------------------------------------------------------------------------------------------


def test_accounts_of_one_directory_are_apart(first: Tenant, second: Tenant, data_dir: Path) -> None:
    accounts = [
        ProviderAccount(
            organization=tenant.organization, name="disk", driver="local", options={"directory": "same"}
        )
        for tenant in (first, second)
    ]
    for account in accounts:
        save_account(account)
    roots = [driver_for(fresh(account)).root for account in accounts]
    assert [root.relative_to(data_dir / "files").parts[1:] for root in roots] == [("same",)] * 2
    assert roots[0].parent != roots[1].parent
    assert all(is_exclusive(account) for account in accounts)


def test_an_account_stays_in_its_folder_when_it_is_changed(first: Tenant) -> None:
    account = ProviderAccount(organization=first.organization, name="disk", driver="local")
    save_account(account)
    segment = account.disk_segment
    account.options = {"directory": "other"}
    save_account(account)
    assert fresh(account).disk_segment == segment


def test_an_older_account_does_not_change_its_directory(first: Tenant, second: Tenant) -> None:
    """It would choose whose files it sees."""
    account = older_account(first, "mine")
    older_account(second, "theirs")
    account.options = {"directory": "theirs"}
    with pytest.raises(ProviderConfigurationError) as refused:
        save_account(account)
    assert refused.value.field == "directory"
    assert driver_for(fresh(account)).root.name == "mine"


# -- the move ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("directory", "becomes"),
    [("", ""), ("x", "x"), ("a/b", "a-b"), ("my files", "my-files"), ("Ä", ""), ("link", "link")],
)
def test_an_account_that_has_its_directory_alone_takes_it_along(
    first: Tenant, data_dir: Path, directory: str, becomes: str
) -> None:
    (data_dir / "files" / "real").mkdir(parents=True)
    (data_dir / "files" / "link").symlink_to("real")
    account = older_account(first, directory)
    created = first.api.create(b"kept")
    (driver_for(account).root / "made-elsewhere.txt").write_text("adopted")
    before = FileCopy.objects.get().remote_id
    bootstrap()
    account = fresh(account)
    assert driver_for(account).root == data_dir / "files" / f"account-{account.uid.hex}" / becomes
    assert FileCopy.objects.get().remote_id == before
    assert content(first.api, created["id"]) == b"kept"
    report = sync_account(account)
    assert report is not None
    assert (report.seen, report.adopted, report.lost) == (2, 1, 0)
    assert not [
        path for path in (data_dir / "files").glob("**/org-*") if account.disk_segment not in path.parts
    ]
    assert AuditEvent.objects.filter(action="account.move", object_id="disk").count() == 1


def test_a_move_leaves_the_folders_of_other_accounts_alone(first: Tenant, second: Tenant) -> None:
    older_account(first)
    other = ProviderAccount(organization=second.organization, name="disk", driver="local", is_default=True)
    save_account(other)
    theirs = second.api.create(b"theirs")["id"]
    settle_trees()
    assert content(second.api, theirs) == b"theirs"
    assert ids(first.api) == []


def test_an_account_without_any_file_gets_a_folder_too(first: Tenant) -> None:
    account = older_account(first, "x")
    settle_trees()
    assert is_exclusive(fresh(account))


def test_an_account_whose_disk_is_elsewhere_is_left_as_it_is(first: Tenant, data_dir: Path) -> None:
    account = older_account(first, "x")
    file_id = first.api.create(b"kept")["id"]
    (data_dir / "files").rename(data_dir / "not mounted")
    settle_trees()
    (data_dir / "not mounted").rename(data_dir / "files")
    assert fresh(account).disk_segment == ""
    assert content(first.api, file_id) == b"kept"
    settle_trees()
    assert fresh(account).disk_segment
    assert content(first.api, file_id) == b"kept"


def test_two_files_of_one_name_stay_both(first: Tenant, data_dir: Path) -> None:
    """A server of the version before can have gone on writing while the folder was moved."""
    account = older_account(first, "x")
    file_id = first.api.create(b"kept")["id"]
    settle_trees()
    ProviderAccount.objects.update(disk_segment="")
    remote_id = FileCopy.objects.get().remote_id
    twin = data_dir / "files" / "x" / remote_id
    twin.parent.mkdir(parents=True)
    twin.write_bytes(b"twin")
    settle_trees()
    assert fresh(account).disk_segment == ""
    assert content(first.api, file_id) == b"twin"
    twin.unlink()
    settle_trees()
    assert content(first.api, file_id) == b"kept"


class Killed(BaseException):
    """The process ends here."""


class Kill:
    """Ends the process before or after the nth thing that it does to the disk or the database."""

    def __init__(self, nth: int, moment: str) -> None:
        self._nth = nth
        self._moment = moment
        self.calls = 0

    def step(self, work: Callable[..., T]) -> Callable[..., T]:
        def stepped(*args: Any, **kwargs: Any) -> T:
            self.calls += 1
            if self.calls == self._nth and self._moment == "before":
                raise Killed
            result = work(*args, **kwargs)
            if self.calls == self._nth:
                raise Killed
            return result

        return stepped

    @contextmanager
    def armed(self) -> Iterator[None]:
        def execute(run: Callable[..., Any], *args: Any) -> Any:
            return self.step(run)(*args)

        with pytest.MonkeyPatch.context() as patch, connection.execute_wrapper(execute):
            for owner, name in ((Path, "rename"), (Path, "mkdir"), (Path, "rmdir"), (os, "fsync")):
                patch.setattr(owner, name, self.step(getattr(owner, name)))
            yield


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("directory", ["", "x"])
def test_a_move_that_was_killed_at_any_step_is_finished_by_the_next_start(
    first: Tenant, data_dir: Path, directory: str, moment: str
) -> None:
    account = older_account(first, directory)
    file_id = first.api.create(b"kept")["id"]
    for name in ("one", "two"):
        (driver_for(account).root / name).mkdir()
    options, nth, was_killed = account.options, 0, True
    while was_killed:
        nth += 1
        kill = Kill(nth, moment)
        try:
            with kill.armed():
                settle_trees()
            was_killed = False
        except Killed:
            settle_trees()
        assert content(first.api, file_id) == b"kept", kill.calls
        root = driver_for(fresh(account)).root
        assert {path.name for path in root.iterdir()} >= {"one", "two"}, kill.calls
        put_back(account, root, data_dir / "files" / directory, options)
    assert nth > 10, "the move does more than was stopped"


def put_back(account: ProviderAccount, root: Path, folder: Path, options: dict[str, str]) -> None:
    """Make the account an older one again."""
    folder.mkdir(exist_ok=True)
    for path in list(root.iterdir()):
        path.rename(folder / path.name)
    root.rmdir()
    ProviderAccount.objects.filter(pk=account.pk).update(disk_segment="", options=options)
    forget_recent_accounts()


# -- directories that several accounts have -----------------------------------------------------------------

SHARED = [
    *(
        ("shared", "shared"),
        ("shared", "Shared"),
        ("shared", "shared/{first}"),
        ("shared/{second}", "shared"),
    ),
    *(("", "x"), ("x/y/z", "x"), ("link", "real"), ("", "{first}")),
]


@pytest.mark.parametrize("directories", SHARED)
@pytest.mark.parametrize("is_bootstrapped", [True, False])
def test_older_accounts_at_one_place_reach_their_own_files_only(
    first: Tenant, second: Tenant, data_dir: Path, directories: tuple[str, str], is_bootstrapped: bool
) -> None:
    (data_dir / "files" / "real").mkdir(parents=True)
    (data_dir / "files" / "link").symlink_to("real")
    tenants = (first, second)
    named = {"first": first.organization.namespace, "second": second.organization.namespace}
    accounts = [
        older_account(tenant, directory.format(**named))
        for tenant, directory in zip(tenants, directories, strict=True)
    ]
    made = [tenant.api.create(tenant.organization.name.encode())["id"] for tenant in tenants]
    for account in accounts:
        (driver_for(account).root / "loose.txt").write_text("whose?")
    if is_bootstrapped:
        settle_trees()
        assert all(fresh(account).shared_since for account in accounts)
    for account in accounts:
        sync_account(fresh(account))
    for tenant, account, own, foreign in zip(tenants, accounts, made, reversed(made), strict=True):
        assert ids(tenant.api) == [own]
        assert content(tenant.api, own) == tenant.organization.name.encode()
        assert (content(tenant.api, foreign), tenant.api.delete(f"/files/{foreign}").status) == (404, 404)
        assert_sees_one_file(fresh(account))
    assert File.objects.count() == 2, "nothing was adopted"


def assert_sees_one_file(account: ProviderAccount) -> None:
    assert not is_exclusive(account)
    assert "1 file there" in [*check_connection(account)][-1].detail
    orders = Orders(remove_unexplained=True)
    report = reconcile_account(account, caller=system_caller(), orders=orders)
    assert (report.seen, report.differences) == (1, [])


def test_accounts_that_share_stay_where_they_are(first: Tenant, second: Tenant, data_dir: Path) -> None:
    accounts = [older_account(first, "shared"), older_account(second, "shared")]
    settle_trees()
    settle_trees()
    for account in accounts:
        account = fresh(account)
        assert driver_for(account).root == data_dir / "files" / "shared"
        assert "the same directory" in account.get_shared_reason_display()
    assert AuditEvent.objects.filter(action="account.shared").count() == 2
    accounts[1].delete()
    settle_trees()
    assert fresh(accounts[0]).disk_segment == "", "what the other one left is not the first one's"


def test_an_account_of_all_organizations_keeps_serving_from_a_shared_directory(
    first: Tenant, second: Tenant
) -> None:
    older_account(None, "shared", name="common")
    older_account(first, "shared")
    file_id = second.api.create(b"mine")["id"]
    settle_trees()
    assert content(second.api, file_id) == b"mine"
    assert second.api.create(b"more")
    assert ids(first.api) == []


def test_doctor_names_what_has_no_folder_of_its_own(first: Tenant, second: Tenant) -> None:
    older_account(first, "a")
    older_account(second, "b")
    assert "first/disk, second/disk" in folders_finding()
    older_account(first, "b", name="more", is_default=False)
    settle_trees()
    assert "second/disk, first/more" in folders_finding()
    ProviderAccount.objects.filter(name="more").delete()
    Organization.objects.filter(name="second").delete()
    assert folders_finding() == ""


def folders_finding() -> str:
    return " ".join(finding.detail for finding in examine(live=False) if finding.area == "local disk")


def test_nobodys_word_makes_a_shared_directory_an_organizations_own(first: Tenant, second: Tenant) -> None:
    accounts = [older_account(tenant, "shared") for tenant in (first, second)]
    settle_trees()
    with pytest.raises(InvalidRequestError, match="Make a new account"):
        confirm_exclusive(fresh(accounts[0]), caller=system_caller(first.organization.pk))
    assert fresh(accounts[0]).shared_since
