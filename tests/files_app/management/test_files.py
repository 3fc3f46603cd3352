"""`manage.py files`"""

from __future__ import annotations

import hashlib
import io
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from files_app.management.local_files import default_name
from files_app.models import AuditEvent, File, FileCopy
from files_app.services.accounts.drivers import driver_for
from providers.object_store import ObjectStoreDriver
from tests.fake_provider import FakeProvider, behaviours
from tests.files_app.cast import Tenant, counters
from tests.files_app.management.conftest import CONTENT
from tests.files_app.management.shell import failing, good
from tests.files_app.rows import force

SHA256 = hashlib.sha256(CONTENT).hexdigest()


def on_disk(file_id: str) -> Path:
    """Return where the account `local` keeps a file's bytes."""
    copy = FileCopy.objects.select_related("account").get(file__file_id=file_id)
    driver = driver_for(copy.account)
    assert isinstance(driver, ObjectStoreDriver)
    root: Path = driver.root  # type: ignore[attr-defined]
    return root / copy.remote_id


# -- list and show ---------------------------------------------------------------------------------


def test_a_list_shows_every_organizations_files(acme: Tenant, other: Tenant) -> None:
    ids = [acme.api.create()["id"], other.api.create()["id"]]
    done = good("files", "list")
    assert all(file_id in done.out for file_id in ids)
    assert [row["id"] for row in good("files", "list", "--json").json] == ids[::-1]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--organization", "acme"], ["a.txt", "b.txt"]),
        (["--account", "other/local"], ["c.txt"]),
        (["--purpose", "vision"], ["b.txt"]),
        (["--name", "C.T"], ["c.txt"]),
        (["--limit", "1"], ["c.txt"]),
        (["--limit", "0"], ["a.txt", "b.txt", "c.txt"]),
        (["--state", "lost"], []),
        (["--state", "all"], ["a.txt", "b.txt", "c.txt"]),
    ],
)
def test_a_list_is_filtered(acme: Tenant, other: Tenant, arguments: list[str], expected: list[str]) -> None:
    acme.api.create(filename="a.txt")
    acme.api.create(b"\x89PNG", "vision", "b.txt")
    other.api.create(filename="c.txt")
    rows = good("files", "list", "--json", *arguments).json
    assert sorted(row["filename"] for row in rows) == expected


def test_an_empty_list_is_an_empty_array(acme: Tenant) -> None:
    assert good("files", "list", "--json").json == []
    assert "No file matches" in good("files", "list").err


def test_a_hostile_name_cannot_steer_the_terminal(acme: Tenant, stored: str) -> None:
    File.objects.update(filename="\x1b[2J\u202egpj.exe\x9b31m", failure="\x1b]0;pwned\x07")
    for command in (["files", "list"], ["files", "show", stored], ["files", "verify"]):
        done = good(*command)
        assert not {"\x1b", "\u202e", "\x9b", "\x07"} & set(done.out + done.err)
    assert "\\x1b[2J\\u202egpj.exe" in good("files", "show", stored).out


def test_a_file_is_shown_with_its_copies(acme: Tenant, stored: str) -> None:
    facts = good("files", "show", stored, "--json").json
    assert (facts["sha256"], facts["bytes"], facts["account"]) == (SHA256, len(CONTENT), "acme/local")
    assert facts["copies"][0]["state"] == "available"
    assert "available at acme/local as org-" in good("files", "show", stored).out


def test_a_file_is_found_by_the_providers_id_too(acme: Tenant, stored: str) -> None:
    remote_id = FileCopy.objects.get().remote_id
    assert good("files", "show", remote_id, "--json").json["id"] == stored


def test_an_id_that_two_organizations_know_has_to_be_narrowed(acme: Tenant, other: Tenant) -> None:
    acme.api.create()
    other.api.create()
    File.objects.update(file_id="file-same")
    done = failing("files", "show", "file-same")
    assert "acme at acme/local, other at other/local" in done.err
    assert good("files", "show", "file-same", "--account", "other/local", "--json").json["organization"] == (
        "other"
    )
    assert (
        good("files", "show", "file-same", "--organization", "acme", "--json").json["organization"] == "acme"
    )


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["files", "show", "file-unknown"], "`manage.py files list` shows the ids"),
        (["files", "show", ""], "There is no file ''"),
        (["files", "list", "--organization", "nobody"], "Known organizations: acme, other."),
        (["files", "list", "--account", "nothing"], "Known accounts: acme/local, other/local."),
        (
            ["files", "list", "--account", "local"],
            "Several accounts are called 'local': acme/local, other/local",
        ),
    ],
)
def test_what_does_not_exist_is_answered_with_what_does(
    acme: Tenant, other: Tenant, arguments: list[str], hint: str
) -> None:
    assert hint in failing(*arguments).err


# -- upload ----------------------------------------------------------------------------------------


def test_a_file_of_this_host_is_uploaded(acme: Tenant, source: Path) -> None:
    row = good(
        "files", "upload", str(source), "--organization", "acme", "--metadata", "team=ml", "--json"
    ).json
    assert (row["filename"], row["sha256"], row["metadata"]) == ("source.bin", SHA256, {"team": "ml"})
    assert acme.api.get(f"/files/{row['id']}/content").body == CONTENT
    assert counters(acme.organization) == (len(CONTENT), 0, 1)
    event = AuditEvent.objects.get(action="file.create")
    assert (event.actor_type, event.organization_id) == ("command", acme.organization.pk)


def test_an_upload_reaches_an_api_provider(remote: Tenant, source: Path, fake: FakeProvider) -> None:
    done = good("files", "upload", str(source), "--organization", "acme", "--account", "openai")
    (stored,) = fake.store("openai")
    assert stored.sha256 == SHA256
    assert stored.remote_id in done.out


def test_an_upload_obeys_the_quota(acme: Tenant, source: Path) -> None:
    acme.set_limits(quota_bytes=len(CONTENT) - 1)
    for more in ([], ["--dry-run"]):
        assert (
            "storage is full" in failing("files", "upload", str(source), "--organization", "acme", *more).err
        )
    assert counters(acme.organization) == (0, 0, 0)


def test_a_dry_run_uploads_nothing(acme: Tenant, source: Path) -> None:
    done = good("files", "upload", str(source), "--organization", "acme", "--dry-run")
    assert "would upload" in done.out and "acme/local" in done.out
    assert not File.objects.exists()


@pytest.mark.parametrize("kind", ["missing", "directory", "pipe", "unreadable"])
def test_what_is_no_file_is_refused_in_one_line(acme: Tenant, tmp_path: Path, kind: str) -> None:
    path = tmp_path / kind
    if kind == "directory":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "unreadable":
        path.symlink_to(path)
    assert str(path) in failing("files", "upload", str(path), "--organization", "acme").err
    assert not File.objects.exists()


def test_a_file_that_grows_while_it_is_read_is_refused(
    acme: Tenant, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def grow(progress: object, amount: int) -> None:
        with source.open("ab") as file:
            file.write(b"more")

    monkeypatch.setattr("files_app.management.output.Progress.advance", grow)
    assert (
        "changed while it was read" in failing("files", "upload", str(source), "--organization", "acme").err
    )
    assert not File.objects.exists()
    assert counters(acme.organization) == (0, 0, 0)


# -- download --------------------------------------------------------------------------------------


def test_a_download_is_complete_and_verified(acme: Tenant, stored: str, tmp_path: Path) -> None:
    done = good("files", "download", stored, "--output", str(tmp_path), "--json")
    assert done.json["path"] == str(tmp_path / "notes.txt")
    assert done.json["is_verified"] is True
    assert (tmp_path / "notes.txt").read_bytes() == CONTENT
    assert os.listdir(tmp_path) == ["notes.txt"]


def test_a_download_never_replaces_a_file_unasked(acme: Tenant, stored: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.txt"
    path.write_text("mine")
    assert "exists already" in failing("files", "download", stored, "-o", str(path)).err
    assert path.read_text() == "mine"
    good("files", "download", stored, "-o", str(path), "--force")
    assert path.read_bytes() == CONTENT


def test_a_download_does_not_write_through_a_link(acme: Tenant, stored: str, tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    link.symlink_to(target)
    failing("files", "download", stored, "-o", str(link))
    assert not target.exists()


def test_a_file_that_appears_meanwhile_is_not_replaced(
    acme: Tenant, stored: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "mine.txt"
    monkeypatch.setattr("files_app.management.output.Progress.advance", lambda *args: path.write_text("mine"))
    assert "exists already" in failing("files", "download", stored, "-o", str(path)).err
    assert path.read_text() == "mine"
    assert os.listdir(tmp_path) == ["mine.txt"]


def test_bytes_that_were_changed_behind_our_back_are_not_kept(
    acme: Tenant, stored: str, tmp_path: Path
) -> None:
    on_disk(stored).write_bytes(CONTENT[::-1])
    done = failing("files", "download", stored, "-o", str(tmp_path / "x"))
    assert "not those that were uploaded" in done.err
    assert not os.listdir(tmp_path)


def test_a_download_that_breaks_leaves_nothing(remote: Tenant, fake: FakeProvider, tmp_path: Path) -> None:
    file_id = remote.api.create(CONTENT, "vision", "a.png")["id"]
    fake.script({"method": "GET", "path": "/content$"}, behaviours.cut_answer(1000))
    assert "openai" in failing("files", "download", file_id, "-o", str(tmp_path / "x")).err
    assert not os.listdir(tmp_path)


def test_a_missing_directory_is_said(acme: Tenant, stored: str, tmp_path: Path) -> None:
    for output in "no/such/file", "folder/":
        failing("files", "download", stored, "-o", f"{tmp_path}/{output}")
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize(
    ("filename", "expected"),
    [
        ("../../etc/passwd", "passwd"),
        ("..\\..\\boot.ini", "boot.ini"),
        (".bashrc", "bashrc"),
        ("-rf", "rf"),
        ("...", "upload"),
        ("a\x00b\n.txt", "ab.txt"),
        ("🧪" * 250 + ".jsonl", "🧪" * 48 + ".jsonl"),
    ],
)
def test_a_clients_name_is_never_a_path(filename: str, expected: str) -> None:
    assert default_name(File(filename=filename, file_id="file-1")) == expected


def test_a_file_that_is_gone_has_no_content(acme: Tenant, stored: str, tmp_path: Path) -> None:
    acme.api.delete(f"/files/{stored}")
    assert "is deleting" in failing("files", "download", stored, "-o", str(tmp_path / "x")).err


# -- delete ----------------------------------------------------------------------------------------


def test_files_are_deleted_with_a_result_each(acme: Tenant, stored: str) -> None:
    second = acme.api.create()["id"]
    rows = good("files", "delete", stored, second, "--yes", "--json").json
    assert [(row["id"], row["deleted"]) for row in rows] == [(stored, True), (second, True)]
    assert set(File.objects.values_list("state", "deleted_reason")) == {("deleting", "admin")}
    assert counters(acme.organization) == (0, 0, 0)
    assert "is deleting already" in failing("files", "delete", stored, "--yes").out


def test_a_delete_asks_first(acme: Tenant, stored: str) -> None:
    assert "--yes" in failing("files", "delete", stored, code=2).err
    good("files", "delete", stored, "--dry-run")
    assert File.objects.get().state == "available"


def test_one_unknown_file_stops_the_whole_command(acme: Tenant, stored: str) -> None:
    failing("files", "delete", stored, "file-unknown", "--yes")
    assert File.objects.get().state == "available"


# -- verify ----------------------------------------------------------------------------------------


def test_intact_files_are_told_from_damaged_and_missing_ones(acme: Tenant, stored: str) -> None:
    damaged, short, missing = (acme.api.create(CONTENT)["id"] for _ in range(3))
    on_disk(damaged).write_bytes(CONTENT[::-1])
    on_disk(short).write_bytes(CONTENT[:-1])
    on_disk(missing).unlink()
    done = failing("files", "verify", "--json")
    outcomes = {row["id"]: row["outcome"] for row in done.json}
    assert outcomes == {stored: "intact", damaged: "damaged", short: "damaged", missing: "missing"}
    details = {row["id"]: row["detail"] for row in done.json}
    assert details[short] == f"{len(CONTENT) - 1} bytes instead of {len(CONTENT)}"
    assert "3 files of 4" in done.err
    assert set(File.objects.values_list("state", flat=True)) == {"available"}
    assert AuditEvent.objects.filter(action="file.verify", organization=acme.organization).count() == 3


def test_verify_is_narrowed_and_limited(acme: Tenant, other: Tenant, stored: str) -> None:
    other.api.create()
    assert [row["id"] for row in good("files", "verify", "--organization", "acme", "--json").json] == [stored]
    assert len(good("files", "verify", "--limit", "1", "--json").json) == 1
    assert len(good("files", "verify", stored, "--json").json) == 1


def test_a_provider_that_fails_is_reported_and_others_go_on(remote: Tenant, fake: FakeProvider) -> None:
    broken = remote.api.create(CONTENT, "vision", "a.png")["id"]
    intact = remote.api.create(CONTENT, "vision", "b.png")["id"]
    late = remote.api.create(CONTENT, "vision", "c.png")["id"]
    fake.script({"method": "GET", "path": f"{broken}/content$"}, behaviours.cut_answer(1000))
    fake.script(
        {"method": "GET", "path": f"{late}/content$"}, behaviours.fail(404)
    )  # so young: not yet shown
    done = failing("files", "verify", "--json")
    outcomes = {row["id"]: row["outcome"] for row in done.json}
    assert outcomes == {broken: "not read", intact: "intact", late: "not read"}


def test_files_that_a_provider_keeps_to_itself_are_no_problem(remote: Tenant) -> None:
    remote.api.create(CONTENT)
    assert [row["outcome"] for row in good("files", "verify", "--json").json] == ["not downloadable"]


def test_files_that_nobody_can_compare_are_no_problem(remote: Tenant, fake: FakeProvider) -> None:
    fake.add_file("openai", filename="made-there.jsonl", content=b"x", purpose="batch_output", created_at=1)
    good("accounts", "sync", "acme/openai")
    assert [row["outcome"] for row in good("files", "verify", "--json").json] == ["no checksum"]


def test_ids_come_from_standard_input(acme: Tenant, stored: str, monkeypatch: pytest.MonkeyPatch) -> None:
    second = acme.api.create()["id"]
    ids = good("files", "list", "--ids", "--reverse").out
    assert ids.split() == [stored, second]
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{ids}\n{stored}\n"))
    rows = good("files", "delete", "-", "--yes", "--json").json
    assert [row["id"] for row in rows] == [stored, second]
    monkeypatch.setattr("sys.stdin", io.StringIO("\n"))
    assert "names no file" in failing("files", "delete", "-", "--yes", code=2).err


def test_what_may_be_another_organizations_is_not_deleted(acme: Tenant, stored: str) -> None:
    File.objects.filter(file_id=stored).update(is_withheld=True)
    assert "confirm its account" in failing("files", "delete", stored, "--yes").out
    assert File.objects.get(file_id=stored).state == "available"


# -- list: sorted and filtered -------------------------------------------------------------------------


def ids_of(*arguments: str) -> list[str]:
    return good("files", "list", "--ids", *arguments).out.split()


def test_a_list_is_sorted(acme: Tenant) -> None:
    small, large, soon = (
        acme.api.create(content, "user_data", name)["id"]
        for content, name in ((b"1", "b.txt"), (b"1" * 900, "c.txt"), (b"1" * 9, "a.txt"))
    )
    File.objects.filter(file_id=soon).update(expires_at=timezone.now() + timedelta(days=3))
    File.objects.filter(file_id=small).update(expires_at=timezone.now() + timedelta(days=30))
    assert ids_of("--sort", "size") == [large, soon, small]
    assert ids_of("--sort", "size", "--reverse") == [small, soon, large]
    assert ids_of("--sort", "expires") == [soon, small, large]
    assert ids_of("--sort", "name") == [soon, small, large]
    assert ids_of() == [soon, large, small]
    assert ids_of("--expires-before", "7d") == [soon]
    assert ids_of("--expires-before", f"{timezone.now() + timedelta(days=60):%Y-%m-%d}") == [soon, small]


def test_a_list_is_narrowed_by_age_and_key(acme: Tenant, stored: str) -> None:
    by_command = acme.api.create()["id"]
    File.objects.filter(file_id=stored).update(created_at=timezone.now() - timedelta(days=100))
    File.objects.filter(file_id=by_command).update(api_key=None)
    assert ids_of("--older-than", "90d") == [stored]
    assert ids_of("--key", "main") == ids_of("--key", acme.key.prefix) == [stored]
    assert "There is no key 'nobody'" in failing("files", "list", "--key", "nobody").err


def test_a_list_is_narrowed_to_a_folder(acme: Tenant, stored: str) -> None:
    acme.api.create()
    FileCopy.objects.filter(file__file_id=stored).update(remote_id="bucket/acme/2026/a.txt")
    assert ids_of("--prefix", "bucket/acme/") == [stored]
    assert ids_of("--prefix", "bucket/acme/2025/") == []


def test_failed_uploads_are_listed_with_their_reason(acme: Tenant, stored: str) -> None:
    force(File.objects.filter(file_id=stored), state="failed", failure="The provider has no room.")
    acme.api.create()
    done = good("files", "list", "--failed")
    assert "REASON" in done.out and "The provider has no room." in done.out
    assert len(done.out.splitlines()) == 2


@pytest.mark.parametrize("given", ["yesterday-ish", "0d", "99999999d", "9999-12-31T23:59-14:00"])
def test_a_time_that_is_none_is_refused(given: str) -> None:
    assert "argument --at: " in failing("files", "expire", "file-1", "--at", given).err


# -- expire and recheck --------------------------------------------------------------------------------


def test_an_expiry_is_set_and_taken_away(acme: Tenant, stored: str) -> None:
    file = File.objects.filter(file_id=stored)
    good("files", "expire", stored, "--at", "7d", "--dry-run")
    assert file.get().expires_at is None
    good("files", "expire", stored, "--at", "7d")
    expires_at = file.get().expires_at
    assert expires_at is not None and timedelta(days=6) < expires_at - timezone.now() < timedelta(days=8)
    good("files", "expire", stored, "--never")
    assert file.get().expires_at is None
    assert AuditEvent.objects.filter(action="file.set_expiry").latest("pk").details["expires_at"] == "never"
    assert "in the future" in failing("files", "expire", stored, "--at", "2001-01-01").out


def test_a_time_of_another_zone_is_told_in_ours(acme: Tenant, stored: str) -> None:
    done = good("files", "expire", stored, "--at", "2099-03-29T02:30+02:00")
    assert "expires 2099-03-29 00:30 UTC" in done.out
    assert File.objects.get(file_id=stored).expires_at == datetime(2099, 3, 29, 0, 30, tzinfo=UTC)


def test_a_file_is_asked_for_at_its_provider(acme: Tenant, stored: str) -> None:
    (row,) = good("files", "recheck", stored, "--json").json
    assert row["checked"] and "has it" in row["detail"]
    event = AuditEvent.objects.get(action="file.recheck")
    assert (event.actor_type, event.object_id) == ("command", stored)


# -- upload: many, and what a pipe brings --------------------------------------------------------------


def test_many_files_are_uploaded_and_one_that_fails_keeps_none(acme: Tenant, source: Path) -> None:
    second = source.with_name("second.txt")
    second.write_text("two")
    paths = [str(source), str(source.with_name("nothing.txt")), str(second)]
    done = failing("files", "upload", *paths, "--organization", "acme", "--expires-after", "7d", "--json")
    assert "1 file of 3 could not be uploaded" in done.err
    assert [("id" in row, "error" in row) for row in done.json] == [
        (True, False),
        (False, True),
        (True, False),
    ]
    for file in File.objects.filter(state="available"):
        assert file.expires_at is not None
        assert timedelta(days=6) < file.expires_at - timezone.now() < timedelta(days=8)
    assert (
        "--name is for one"
        in failing("files", "upload", *paths, "--organization", "acme", "--name", "x", code=2).err
    )


def test_a_pipe_is_uploaded(acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(CONTENT)))
    done = good("files", "upload", "-", "--organization", "acme", "--name", "dump.sql", "--json")
    assert (done.json["filename"], done.json["bytes"]) == ("dump.sql", len(CONTENT))
    assert acme.api.get(f"/files/{done.json['id']}/content").body == CONTENT
