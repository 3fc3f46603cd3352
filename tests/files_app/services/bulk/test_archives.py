"""Archives: the announced length is the length, and nobody takes a part for the whole."""

from __future__ import annotations

import io
import tarfile
import unicodedata
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.test import Client

from files_app.exceptions import InvalidRequestError
from files_app.models import AuditEvent, File
from files_app.services.index.callers import system_caller
from files_app.services.reading import archives
from files_app.services.reading.archives import archive_of
from providers.exceptions import ProviderError
from tests.fake_provider import FakeProvider
from tests.fake_provider.behaviours import fail
from tests.files_app.cast import Tenant, on_disk
from tests.files_app.management.shell import failing, good

LINE = b'{"custom_id": "a", "method": "POST", "url": "/v1/responses", "body": {"input": "%b"}}' % (
    b"x" * 10_000
)
SELECTED = "_selected_action"


def in_order() -> list[File]:
    return list(File.objects.select_related("organization", "account__organization").order_by("pk"))


def read(tenant: Tenant, files: list[File] | None = None) -> tuple[int, bytes]:
    opened = archive_of(files or in_order()).open(caller=system_caller(tenant.organization.pk))
    return opened.length, b"".join(opened.chunks)


def contents(archive: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        found = {}
        for member in tar.getmembers():
            assert member.isfile()
            extracted = tar.extractfile(member)
            assert extracted is not None
            found[member.name] = extracted.read()
    return found


def test_the_length_is_known_and_names_are_kept_apart(acme: Tenant) -> None:
    texts = [b"", b"x", b"y" * 512, b"z" * 70_000]
    for text, name in zip(texts, ["a.txt", "a.txt", "A.TXT", f"{'langer Name ' * 15}ü.txt"], strict=True):
        acme.api.create(text or b"one", filename=name)
    length, archive = read(acme)
    assert len(archive) == length
    names = ["a.txt", "a (2).txt", "A (3).TXT", f"{'langer Name ' * 15}ü.txt"]
    assert contents(archive) == dict(zip(names, [b"one", *texts[1:]], strict=True))
    parts = AuditEvent.objects.filter(action="file.content").values_list("details", flat=True)
    assert list(parts) == [{"part": "archive"}] * 4


def test_every_name_can_be_written_on_any_file_system(acme: Tenant) -> None:
    """Names have up to 255 characters, and file systems take as many bytes; some tell no é from another."""
    names = ["\u65e5" * 249 + ".jsonl"] * 2 + [
        "\u65e5" * 250,
        "a." + "\u65e5" * 200,
        "\u00e9.txt",
        "e\u0301.txt",
    ]
    for number, name in enumerate(names):
        acme.api.create(b"%d" % number, filename=name)
    found = contents(read(acme)[1])
    assert sorted(found.values()) == [b"%d" % number for number in range(len(names))]
    assert max(len(name.encode()) for name in found) <= 255
    assert len({unicodedata.normalize("NFC", name.casefold()) for name in found}) == len(names)
    assert [name[-10:] for name in found][:2] == ["\u65e5" * 4 + ".jsonl", "(2).jsonl".rjust(10)]


def test_no_name_leads_out_of_the_folder(acme: Tenant) -> None:
    acme.api.create(b"x")
    File.objects.update(filename="../../etc/passwd\n")
    (name,) = contents(read(acme)[1])
    assert "/" not in name and not name.startswith(".") and name.isprintable()


def test_what_has_no_known_size_is_left_out_and_named(acme: Tenant) -> None:
    acme.api.create(b"known", filename="known.txt")
    unknown = acme.api.create(b"unknown", filename="unknown.txt")["id"]
    File.objects.filter(file_id=unknown).update(sha256="")
    gone = acme.api.create(b"gone")["id"]
    acme.api.delete(f"/files/{gone}")
    length, archive = read(acme)
    assert len(archive) == length
    found = contents(archive)
    assert list(found) == ["known.txt", archives.LEFT_OUT]
    listed = found[archives.LEFT_OUT].decode().splitlines()
    assert [line.split("\t")[0] for line in listed] == [unknown, gone]
    assert "exact size is not known" in listed[0]
    File.objects.update(sha256="")
    with pytest.raises(InvalidRequestError, match="None of these files"):
        read(acme)


def test_a_file_that_fails_breaks_the_transfer(remote: Tenant, fake: FakeProvider) -> None:
    first, second = (remote.api.create(LINE, "batch", "a.jsonl")["id"] for _ in range(2))
    fake.script({"method": "GET", "path": f"{second}/content$", "times": None}, fail(500))
    opened = archive_of(in_order()).open(caller=system_caller(remote.organization.pk))
    received: list[bytes] = []
    with pytest.raises(ProviderError):
        received.extend(opened.chunks)
    assert len(LINE) < sum(map(len, received)) < opened.length
    fake.script({"method": "GET", "path": f"{first}/content$", "times": None}, fail(500))
    with pytest.raises(ProviderError):  # before the first byte: an error, and no answer that breaks off
        archive_of(in_order()).open(caller=system_caller(remote.organization.pk))


def test_more_than_an_archive_takes_is_refused(acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(2):
        acme.api.create()
    with pytest.raises(InvalidRequestError, match="at most 1 files"):
        archive_of(in_order(), max_files=1)


def test_staff_downloads_the_selected_ones(acme: Tenant) -> None:
    acme.api.create(b"one", filename="one.txt")
    acme.api.create(b"two", filename="two.txt")
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    sent = {"action": "archive_files", SELECTED: [file.pk for file in in_order()]}
    answer = client.post("/admin/files_app/file/", sent)
    archive = b"".join(answer.streaming_content)  # type: ignore[attr-defined]
    assert answer.headers["Content-Length"] == str(len(archive))
    assert answer.headers["Content-Disposition"].startswith("attachment;")
    assert contents(archive) == {"one.txt": b"one", "two.txt": b"two"}
    File.objects.update(sha256="")
    refused = client.post("/admin/files_app/file/", sent)
    assert refused.status_code == 400 and b"exact size is not known" in refused.content


def test_a_command_saves_all_or_nothing(acme: Tenant, tmp_path: Path) -> None:
    ids = [acme.api.create(text, filename="a.txt")["id"] for text in (b"one", b"two")]
    path = tmp_path / "out.tar"
    done = good("files", "archive", *ids, "--output", str(path), "--json").json
    assert (done["files"], done["bytes"], done["left_out"]) == (2, path.stat().st_size, [])
    assert contents(path.read_bytes()) == {"a.txt": b"one", "a (2).txt": b"two"}
    assert "exists already" in failing("files", "archive", *ids, "--output", str(path)).err
    for stored in on_disk(acme):
        if stored.read_bytes() == b"two":
            stored.unlink()
    other = tmp_path / "other.tar"
    failing("files", "archive", *ids, "--output", str(other))
    assert [each.name for each in tmp_path.iterdir()] == ["out.tar"]
