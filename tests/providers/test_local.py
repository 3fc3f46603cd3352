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


SEGMENTS = tuple(f"account-{number:032x}" for number in (1, 2))


def open_driver(
    data_dir: Path, *, disk_segment: str = SEGMENTS[0], namespace: str = "", **options: object
) -> LocalDriver:
    config = AccountConfig(
        "disk",
        options,
        environment=Environment(data_dir=data_dir),
        disk_segment=disk_segment,
        namespace=namespace,
    )
    driver = build_driver("local", config)
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


@pytest.mark.parametrize(
    "directory",
    [
        *(
            "../other",
            "/etc",
            "a/../../b",
            ".incoming",
            ".",
            "..",
            "...",
            "a/b",
            "a\\b",
            "a\n",
            "a\0",
            "a b",
            "ä",
        ),
        *(f"../{SEGMENTS[1]}", f"../{SEGMENTS[1].upper()}", "link", "x" * 65),
    ],
)
def test_a_directory_is_one_name_in_the_accounts_own_folder(tmp_path: Path, directory: str) -> None:
    own, others = (tmp_path / "files" / segment for segment in SEGMENTS)
    own.mkdir(parents=True)
    others.mkdir()
    (own / "link").symlink_to(others)
    with pytest.raises(ProviderConfigurationError) as caught:
        open_driver(tmp_path, directory=directory)
    assert caught.value.field == "directory"


@pytest.mark.parametrize(
    "directory",
    ["../other", "/etc", "a/../../b", ".incoming", "link", SEGMENTS[1], f"x/../{SEGMENTS[1].upper()}/x"],
)
def test_an_older_account_stays_in_the_file_directory_and_out_of_others_folders(
    tmp_path: Path, directory: str
) -> None:
    (tmp_path / "files" / "x").mkdir(parents=True)
    (tmp_path / "files" / "link").symlink_to("/")
    with pytest.raises(ProviderConfigurationError) as caught:
        open_driver(tmp_path, disk_segment="", directory=directory)
    assert caught.value.field == "directory"


def test_accounts_share_no_files_whatever_their_directory(tmp_path: Path) -> None:
    one, other = (open_driver(tmp_path, disk_segment=segment, directory="same") for segment in SEGMENTS)
    remote_id = one.create_file(make_upload(b"x")).remote_id
    assert not one.location().overlaps(other.location())
    assert other.list_files().files == ()
    with pytest.raises(RemoteFileNotFoundError):
        other.retrieve_file(remote_id)


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [
        *(("same", "same"), ("", ""), ("", "org-1"), ("a", "a/org-1"), ("a", "a/b"), ("a", "a/org-1/org-1")),
        *(("real", "link"), ("a", ".")),
    ],
)
def test_older_accounts_in_one_directory_see_their_own_organizations_files_only(
    tmp_path: Path, mine: str, theirs: str
) -> None:
    (tmp_path / "files" / "real").mkdir(parents=True)
    (tmp_path / "files" / "link").symlink_to("real")
    drivers = [
        open_driver(tmp_path, disk_segment="", namespace=f"org-{number}", directory=directory)
        for number, directory in ((1, mine), (2, theirs))
    ]
    uploads = [make_upload(b"x"), make_upload(b"y")]
    for driver, upload in zip(drivers, uploads, strict=True):
        upload.namespace = driver.account.namespace
        driver.create_file(upload)
    (drivers[0].root / "loose.txt").write_text("whose?")
    for driver, other, upload in zip(drivers, reversed(drivers), uploads, strict=True):
        (file,) = driver.list_files().files
        assert file.remote_id.startswith(f"{driver.account.namespace}/{upload.file_id}")
        assert driver.sweep_stray(timedelta(minutes=-1)) == 0
        for path in sorted(found for found in other.root.rglob("*") if found.is_file()):
            remote_id = os.path.relpath(path, driver.root)
            if remote_id.removesuffix(".details") != file.remote_id:
                refuses(driver, remote_id)


def refuses(driver: LocalDriver, remote_id: str) -> None:
    for operation in (driver.retrieve_file, driver.download_file, driver.delete_file):
        with pytest.raises(RemoteFileNotFoundError):
            operation(remote_id)


def test_an_older_account_of_all_organizations_sees_uploads_only(tmp_path: Path) -> None:
    driver = open_driver(tmp_path, disk_segment="")
    uploads = [make_upload(b"x"), make_upload(b"y")]
    for number, upload in enumerate(uploads):
        upload.namespace = f"org-{number}"
        driver.create_file(upload)
    (tmp_path / "files" / SEGMENTS[0]).mkdir()
    (tmp_path / "files" / SEGMENTS[0] / "file-1.txt").write_text("another account's")
    (tmp_path / "files" / "loose.txt").write_text("whose?")
    listed = [driver.file_id_of(file.remote_id) for file in driver.list_files().files]
    assert listed == [upload.file_id for upload in uploads]
    refuses(driver, f"{SEGMENTS[0]}/file-1.txt")


def test_links_inside_of_an_account_lead_nowhere_either(tmp_path: Path) -> None:
    driver = open_driver(tmp_path, disk_segment="", namespace="org-1", directory="shared")
    driver.root.mkdir(parents=True)
    (driver.root / "org-2").mkdir()
    (driver.root / "org-2" / "theirs.txt").write_text("theirs")
    (driver.root / "org-1").symlink_to("org-2")
    refuses(driver, "org-1/theirs.txt")


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
