"""The driver that keeps files on the gateway's own disk."""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from providers.base import AccountConfig, Environment
from providers.exceptions import ProviderConfigurationError, ProviderUnavailableError, RemoteFileNotFoundError
from providers.local import LocalDriver
from providers.object_store import ObjectStoreDriver
from providers.registry import build_driver
from tests.providers.store_contract import StoreContract
from tests.providers.stores import make_upload, random_bytes, read

CONTENT = random_bytes(700_001)


def open_driver(data_dir: Path, **options: object) -> LocalDriver:
    driver = build_driver("local", AccountConfig("disk", options, environment=Environment(data_dir=data_dir)))
    assert isinstance(driver, LocalDriver)
    return driver


@pytest.fixture
def driver(tmp_path: Path) -> LocalDriver:
    return open_driver(tmp_path)


class TestContract(StoreContract):
    """The cases of every object store."""

    def strays(self, driver: ObjectStoreDriver) -> int:
        return driver.sweep_stray(timedelta(minutes=-1))


def files_below(path: Path) -> list[str]:
    return sorted(found.relative_to(path).as_posix() for found in path.rglob("*") if found.is_file())


def test_a_full_disk_is_retryable_and_leaves_nothing(
    driver: LocalDriver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ProviderUnavailableError) as caught:
        driver.create_file(make_upload(CONTENT))
    assert caught.value.code == "storage_full"
    assert str(tmp_path) not in caught.value.message
    assert files_below(tmp_path) == []


def test_a_file_cut_behind_our_back_does_not_end_quietly(driver: LocalDriver, tmp_path: Path) -> None:
    remote_id = driver.create_file(make_upload(CONTENT)).remote_id
    download = driver.download_file(remote_id)
    os.truncate(driver.root / remote_id, 300_000)
    with pytest.raises(ProviderUnavailableError):
        list(download.chunks)
    download.close()


def test_lists_go_from_page_to_page(driver: LocalDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("providers.transports.disk._PAGE_SIZE", 4)
    StoreContract().assert_pages_are_complete(driver, pages=3)


@pytest.mark.parametrize(
    "remote_id",
    ["../secret", "/etc/passwd", "org/../../secret", "", ".", "org//x", "org/\0", "org", "x" * 2000],
)
def test_remote_ids_cannot_leave_the_directory(driver: LocalDriver, tmp_path: Path, remote_id: str) -> None:
    driver.create_file(make_upload(b"x"))
    (tmp_path / "secret").write_text("s")
    for operation in (driver.retrieve_file, driver.download_file, driver.delete_file):
        with pytest.raises(RemoteFileNotFoundError):
            operation(remote_id)
    assert (tmp_path / "secret").exists()


def test_symbolic_links_lead_nowhere(driver: LocalDriver, tmp_path: Path) -> None:
    secret = tmp_path / "outside" / "secret.txt"
    secret.parent.mkdir()
    secret.write_text("s")
    driver.create_file(make_upload(b"x"))
    (driver.root / "org-4f2a" / "link.txt").symlink_to(secret)
    (driver.root / "org-link").symlink_to(secret.parent)
    for remote_id in ("org-4f2a/link.txt", "org-link/secret.txt"):
        with pytest.raises(RemoteFileNotFoundError):
            driver.download_file(remote_id)
    assert len(driver.list_files().files) == 1


@pytest.mark.parametrize("directory", ["../other", "/etc", "a/../../b", ".incoming", "link"])
def test_a_directory_outside_of_the_data_directory_is_refused(tmp_path: Path, directory: str) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "link").symlink_to("/")
    with pytest.raises(ProviderConfigurationError) as caught:
        open_driver(tmp_path, directory=directory)
    assert caught.value.field == "directory"


def test_accounts_share_files_only_in_the_same_directory(tmp_path: Path) -> None:
    one, other = open_driver(tmp_path, directory="one"), open_driver(tmp_path, directory="other")
    remote_id = one.create_file(make_upload(b"x")).remote_id
    assert not one.location().overlaps(other.location())
    assert other.list_files().files == ()
    with pytest.raises(RemoteFileNotFoundError):
        other.retrieve_file(remote_id)


def test_the_sweep_spares_what_is_young_or_published(driver: LocalDriver, tmp_path: Path) -> None:
    kept = driver.create_file(make_upload(b"x")).remote_id
    incoming = driver.root / ".incoming"
    for name, age in (("old", 7200), ("young", 60)):
        (incoming / name).write_bytes(b"half")
        past = datetime.now(UTC).timestamp() - age
        os.utime(incoming / name, (past, past))
    assert driver.sweep_stray(timedelta(hours=1)) == 1
    assert files_below(incoming) == ["young"]
    assert read(driver, kept) == b"x"


def _upload_until_killed(data_dir: Path, connection: Connection) -> None:
    def chunks() -> Iterator[bytes]:
        yield CONTENT
        connection.send("half way")
        connection.recv()

    open_driver(data_dir).create_file(make_upload(chunks()))


def test_a_killed_writer_leaves_only_what_the_sweep_removes(driver: LocalDriver, tmp_path: Path) -> None:
    context: Any = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    child = context.Process(target=_upload_until_killed, args=(tmp_path, theirs))
    child.start()
    assert ours.recv() == "half way"
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    assert driver.list_files().files == ()
    assert len(files_below(tmp_path)) == 1
    assert driver.sweep_stray(timedelta(0)) == 1
    assert files_below(tmp_path) == []
