"""kill -9 in the middle of a retention run, a restore, a hold and a job: each file is done or is not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.gateway import Gateway, Shell, ShellError, Tenant, digest, sha256_at

DAY = 86_400


@pytest.fixture(autouse=True)
def without_rules(gateway: Gateway) -> Iterator[None]:
    yield
    gateway.shell("drop_rules")


def killed(gateway: Gateway, order: str, **arguments: object) -> None:
    """Let another process carry an order out, which dies in its middle."""
    other = Shell(gateway.stack)
    try:
        with pytest.raises(ShellError, match="the shell ended"):
            other(order, **arguments)
    finally:
        other.close()


def uploaded(tenant: Tenant, number: int) -> dict[str, bytes]:
    contents = [f"content {each}".encode() for each in range(number)]
    return {tenant.upload(content).json()["id"]: content for content in contents}


@pytest.mark.parametrize(("kill_at", "group", "gone"), [(1, 2, 0), (3, 2, 4), (4, 1, 3)])
def test_a_retention_run_that_is_killed_has_ended_some_files_and_harmed_none(
    gateway: Gateway, kill_at: int, group: int, gone: int
) -> None:
    tenant = gateway.tenant()
    files = uploaded(tenant, 6)
    held = next(iter(files))
    gateway.shell("hold", file_id=held)
    gateway.shell("let_files_age", organization=tenant.organization, days=9)
    gateway.shell("make_rule", organization=tenant.organization, longest_life_seconds=DAY)
    killed(gateway, "apply_rules", kill_at=kill_at, group=group)
    left = {file_id: content for file_id, content in files.items() if file_id in tenant.ids()}
    assert len(left) == len(files) - gone  # those that it was about are whole
    tenant.assert_holds(left)
    gateway.assert_no_drift()
    gateway.shell("apply_rules")
    gateway.recover()
    tenant.assert_holds({held: files[held]})
    assert list(sha256_at(gateway.fake)) == [held]
    gateway.assert_no_drift()


@pytest.mark.parametrize("is_free", [False, True])
def test_a_restore_that_is_killed_can_be_done_again(gateway: Gateway, is_free: bool) -> None:
    tenant = gateway.tenant()
    gateway.shell("set_trash", organization=tenant.organization, days=7, is_free=is_free)
    ((file_id, content),) = uploaded(tenant, 1).items()
    assert tenant.delete(file_id).status_code == 200
    killed(gateway, "restore", file_id=file_id, kill_at=1)
    assert tenant.ids() == set()
    assert tenant.usage() == ((0, 0, 0) if is_free else (len(content), 0, 1))
    gateway.recover()
    assert sha256_at(gateway.fake) == {file_id: digest(content)}
    gateway.assert_no_drift()
    gateway.shell("restore", file_id=file_id)
    tenant.assert_holds({file_id: content})
    gateway.assert_no_drift()


def test_a_hold_that_is_killed_is_none(gateway: Gateway) -> None:
    tenant = gateway.tenant()
    ((file_id, _),) = uploaded(tenant, 1).items()
    killed(gateway, "hold", file_id=file_id, kill_at=1)
    assert tenant.delete(file_id).status_code == 200
    gateway.recover()
    tenant.assert_empty()
    assert sha256_at(gateway.fake) == {}


@pytest.mark.parametrize(("kill_at", "done_before"), [(1, 0), (3, 3)])
def test_a_job_that_is_killed_goes_on_and_tells_of_each_file_once(
    gateway: Gateway, kill_at: int, done_before: int
) -> None:
    tenant = gateway.tenant()
    files = uploaded(tenant, 6)
    held = next(iter(files))
    gateway.shell("hold", file_id=held)
    pk = gateway.shell("order_deletes", organization=tenant.organization)
    killed(gateway, "work_on_jobs", kill_at=kill_at, group=2)  # the held one and the first, then two and two
    left = {file_id: content for file_id, content in files.items() if file_id in tenant.ids()}
    assert len(left) == len(files) - done_before  # the group that it was about is whole, and has no result
    assert sum(result == "done" for _, result in gateway.shell("job", pk=pk)["results"]) == done_before
    tenant.assert_holds(left)
    gateway.assert_no_drift()
    gateway.shell("work_on_jobs")
    done = gateway.shell("job", pk=pk)
    assert (done["status"], done["done"], done["refused"]) == ("done", 5, 1)
    results = dict.fromkeys(files, "done") | {held: "refused"}
    assert sorted(map(tuple, done["results"])) == sorted(results.items())
    assert gateway.shell("deletes_audited", organization=tenant.organization) == 5
    gateway.recover()
    tenant.assert_holds({held: files[held]})
    assert sha256_at(gateway.fake) == {held: digest(files[held])}
    gateway.assert_no_drift()


def test_an_export_that_is_killed_has_each_file_once(gateway: Gateway) -> None:
    tenant = gateway.tenant()
    files = uploaded(tenant, 5)
    pk = gateway.shell("order_export", organization=tenant.organization)
    killed(gateway, "work_on_jobs", kill_at=2, group=2)
    assert gateway.shell("job", pk=pk)["done"] == 2
    with pytest.raises(ShellError, match="not done"):
        gateway.shell("exported", pk=pk)
    gateway.shell("work_on_jobs")
    assert gateway.shell("exported", pk=pk) == list(files)
