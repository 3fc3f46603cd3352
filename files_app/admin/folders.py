"""The files of a bucket as folders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse

from files_app.admin.account_names import account_names
from files_app.admin.pages import page
from files_app.admin.requests import reach_for
from files_app.models import FileCopy, ProviderAccount
from files_app.services.reading.folders import is_folder, list_folder
from providers.exceptions import ProviderConfigurationError


@dataclass(frozen=True, slots=True)
class Step:
    """One folder of the way to where the reader is."""

    name: str
    link: str


def has_folders(account: ProviderAccount) -> bool:
    """Whether the account's files have keys with folders."""
    try:
        return account.driver_class.capabilities.storage != "provider"
    except ProviderConfigurationError:
        return False


def folders_link(account: ProviderAccount, **question: str) -> str:
    """Return the address of an account's folders; empty where it has none."""
    if not has_folders(account):
        return ""
    address = reverse("admin:files_app_provideraccount_folders", args=[account.pk])
    return f"{address}?{urlencode(question)}" if question else address


def folders_of_chosen(request: HttpRequest) -> str:
    """Return where the account that a list is filtered by has its folders; empty where there are none."""
    chosen = request.GET.get("account", "")
    accounts = account_names(request).accounts
    return next((folders_link(account) for account in accounts if str(account.pk) == chosen), "")


def folders_page(request: HttpRequest, pk: int, opts: Any) -> HttpResponse:
    """Show what lies in one folder of an account, as far as the user may see it."""
    if not request.user.has_perm("files_app.view_file"):
        raise PermissionDenied
    reach = reach_for(request)
    account = reach.usable_accounts().select_related("organization").filter(pk=pk).first()
    prefix = request.GET.get("prefix", "")
    if account is None or not has_folders(account) or not is_folder(prefix):
        raise Http404
    copies = reach.limit(FileCopy.objects.filter(account=account), "file__organization")
    if not reach.sees_all:
        copies = copies.filter(file__is_withheld=False)
    folder = list_folder(copies, prefix, at=request.GET.get("at", ""))
    more = {"prefix": prefix, "at": folder.next_at}
    context = {
        "opts": opts,
        "account": account,
        "account_name": account_names(request).of(account),
        "steps": _steps(account, prefix),
        "rows": [(entry, folders_link(account, prefix=entry.start)) for entry in folder.entries],
        "next_link": folders_link(account, **more) if folder.next_at else "",
        "list_link": f"{reverse('admin:files_app_file_changelist')}?account={account.pk}",
    }
    return page(request, "folders.html", "Folders", context)


def _steps(account: ProviderAccount, prefix: str) -> list[Step]:
    names = prefix.split("/")[:-1]
    return [
        Step(name, folders_link(account, prefix="/".join(names[: number + 1]) + "/"))
        for number, name in enumerate(names)
    ]
