"""The overview: who stored what, where, why does it fail, how full are we."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.urls import reverse

from files_app.admin.attention import lines_of
from files_app.admin.charts import activity_chart
from files_app.admin.formatting import label_of
from files_app.admin.pages import page
from files_app.admin.requests import reach_for
from files_app.services.operations import doctor, overview
from files_app.services.operations.overview import AccountShare, Overview


@dataclass(frozen=True, slots=True)
class Share:
    """A line of the chart of providers: `percent` of the largest, `place` chooses the colour."""

    account: AccountShare
    label: str
    percent: float
    place: int


@dataclass(frozen=True, slots=True)
class Step:
    """Something to do first, on a gateway that is still empty."""

    title: str
    text: str
    link: str
    is_done: bool


def overview_page(request: HttpRequest) -> TemplateResponse:
    """Show the overview of what the user may see."""
    reach = reach_for(request)
    figures = overview.overview(reach)
    parts = list(doctor.parts()) if reach.sees_all else []
    context = {
        "figures": figures,
        "total": overview.OrganizationUsage(
            0, "", figures.used_bytes, 0, figures.quota_bytes, figures.file_count
        ),
        "chart": activity_chart(figures.days),
        "is_quiet": not any(day.uploads or day.downloads or day.failures for day in figures.days),
        "shares": _shares(figures.accounts),
        "steps": _steps(figures) if not figures.file_count and not figures.accounts else [],
        "parts": parts,
        "attention": lines_of(request, parts),
        "failure_days": overview.FAILURE_DAYS,
        "days": overview.DAYS,
    }
    return page(request, "overview.html", "Overview", context)


def _shares(accounts: Sequence[AccountShare]) -> list[Share]:
    largest = max((account.bytes for account in accounts), default=0) or 1
    return [
        Share(account, _label(account), max(0.6, 100 * account.bytes / largest), place % 6)
        for place, account in enumerate(accounts)
    ]


def _label(account: AccountShare) -> str:
    """Return the driver's name where the account's own does not say it."""
    label = label_of(account.driver)
    return "" if label.lower() == account.name.lower() else label


def _steps(figures: Overview) -> list[Step]:
    """Return what to do until the first file is stored."""
    return [
        Step(
            "Create an organization",
            "The tenant: it owns keys, files and a quota.",
            reverse("admin:files_app_organization_changelist"),
            figures.organization_count > 0,
        ),
        Step(
            "Connect a provider account",
            "Where files go: OpenAI, Anthropic, a bucket, or this host's disk. Test the connection there.",
            reverse("admin:files_app_provideraccount_changelist"),
            figures.account_count > 0,
        ),
        Step(
            "Create an API key",
            "Clients send it with OpenAI's SDK; only base URL and key change.",
            reverse("admin:files_app_apikey_changelist"),
            figures.key_count > 0,
        ),
        Step(
            "Upload a first file",
            "Here in the browser, or with the key from a program.",
            reverse("admin:upload"),
            False,
        ),
    ]
