"""A bucket's files as folders."""

from __future__ import annotations

import pytest
from django.db.models import QuerySet
from django.test import Client
from django.urls import reverse

from files_app.models import File, FileCopy, Organization, ProviderAccount
from files_app.services.reading import folders
from files_app.services.reading.folders import list_folder
from tests.fake_provider import FakeProvider
from tests.files_app.admin.conftest import SignIn, World, body_of, store
from tests.files_app.cast import local_account, openai_account


def put(account: ProviderAccount, organization: Organization, *keys: str, size: int = 10) -> None:
    """Store a file under each key, as far as the index is concerned."""
    for key in keys:
        file = store(organization, b"x" * size, filename=key.rpartition("/")[2], account=account)
        FileCopy.objects.filter(file=file).update(remote_id=key)


def shown(copies: QuerySet[FileCopy], prefix: str) -> list[tuple[str, int, bool]]:
    listed = list_folder(copies, prefix)
    return [(entry.name, entry.files, entry.is_cut) for entry in listed.entries]


@pytest.fixture
def bucket(own: World) -> ProviderAccount:
    account = local_account(own.organization, "bucket")
    put(
        account,
        own.organization,
        "b/2025/a.txt",
        "b/2025/b.txt",
        "b/2025-old/c.txt",
        "b/2026/jan/d.txt",
        "b/2026/feb/e.txt",
        "b/top.txt",
    )
    return account


def test_a_folder_shows_its_folders_and_files_in_the_order_of_keys(bucket: ProviderAccount) -> None:
    copies = FileCopy.objects.filter(account=bucket)
    assert shown(copies, "") == [("b/", 6, False)]
    assert shown(copies, "b/") == [
        ("2025-old/", 1, False),
        ("2025/", 2, False),
        ("2026/", 2, False),
        ("top.txt", 1, False),
    ]
    assert shown(copies, "b/2026/") == [("feb/", 1, False), ("jan/", 1, False)]
    assert shown(copies, "b/nothing/") == []
    (first, *_) = list_folder(copies, "b/2025/").entries
    assert (first.filename, first.bytes) == ("a.txt", 10)


def test_a_page_goes_on_where_the_last_one_ended(
    bucket: ProviderAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "MAX_ENTRIES", 2)
    copies = FileCopy.objects.filter(account=bucket)
    names, at = [], ""
    for _ in range(3):
        page = list_folder(copies, "b/", at=at)
        names += [entry.name for entry in page.entries]
        at = page.next_at
    assert names[:4] == ["2025-old/", "2025/", "2026/", "top.txt"]


def test_a_folder_with_many_files_is_leapt_over(
    bucket: ProviderAccount, own: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "BATCH", 3)
    put(bucket, own.organization, *(f"b/2025/{number:03}" for number in range(9)))
    copies = FileCopy.objects.filter(account=bucket)
    assert shown(copies, "b/") == [
        ("2025-old/", 1, False),
        ("2025/", 5, True),
        ("2026/", 2, False),
        ("top.txt", 1, False),
    ]


def test_a_page_leads_into_folders_and_to_files(root: Client, bucket: ProviderAccount) -> None:
    page = reverse("admin:files_app_provideraccount_folders", args=[bucket.pk])
    body = body_of(root.get(page, {"prefix": "b/"})).decode()
    assert "prefix=b%2F2025%2F" in body and "2025-old/" in body
    top = File.objects.get(filename="top.txt")
    assert reverse("admin:files_app_file_change", args=[top.pk]) in body
    listed = reverse("admin:files_app_file_changelist")
    assert page in body_of(root.get(listed, {"account": str(bucket.pk)})).decode()


@pytest.mark.parametrize("prefix", ["no-slash", "b\x00/", "b/\n/", "x" * 2000 + "/"])
def test_what_is_no_folder_is_not_there(root: Client, bucket: ProviderAccount, prefix: str) -> None:
    page = reverse("admin:files_app_provideraccount_folders", args=[bucket.pk])
    assert root.get(page, {"prefix": prefix}).status_code == 404
    assert root.get(page, {"at": "elsewhere\x00"}).status_code == 200


def test_a_provider_without_folders_has_no_such_page(root: Client, own: World, fake: FakeProvider) -> None:
    account = openai_account(own.organization, fake)
    assert root.get(reverse("admin:files_app_provideraccount_folders", args=[account.pk])).status_code == 404


def test_nobody_sees_another_organizations_folders(
    sign_in: SignIn, own: World, foreign: World, bucket: ProviderAccount
) -> None:
    shared = local_account(None, "shared-bucket")
    put(shared, own.organization, "b/org-1/mine.txt")
    put(shared, foreign.organization, "b/org-2/theirs.txt")
    stranger = sign_in("Owner", foreign.organization)
    assert (
        stranger.get(reverse("admin:files_app_provideraccount_folders", args=[bucket.pk])).status_code == 404
    )
    page = reverse("admin:files_app_provideraccount_folders", args=[shared.pk])
    body = body_of(stranger.get(page, {"prefix": "b/"})).decode()
    assert "org-2/" in body and "org-1/" not in body
    assert sign_in(None, own.organization).get(page).status_code == 403
