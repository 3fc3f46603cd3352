"""The sidebar, by task. `gateway.settings.UNFOLD` names the functions here."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.http import HttpRequest
from django.urls import reverse

from files_app.admin.requests import reach_for
from files_app.models import CopyState, FileCopy


def sidebar(request: HttpRequest) -> list[dict[str, Any]]:
    """Return the groups of the sidebar with what the user may open."""
    sees_all = reach_for(request).sees_all
    system = [_item(request, "System", "monitor_heart", "admin:system")] if sees_all else []
    return [
        _group(
            "",
            _item(request, "Overview", "dashboard", "admin:index"),
            _item(request, "Upload", "upload", "admin:upload", "files_app.add_file"),
        ),
        _group(
            "Storage",
            _model(request, "Files", "draft", "file"),
            _item(
                request, "Trash", "delete", "admin:files_app_trashedfile_changelist", "files_app.view_file"
            ),
            _deletions(request),
            _item(request, "Jobs", "checklist", "admin:files_app_filejob_changelist", "files_app.view_file"),
        ),
        _group(
            "Access",
            _model(request, "Organizations", "apartment", "organization"),
            _item(request, "Usage", "bar_chart", "admin:usage", "files_app.view_organization"),
            _model(request, "API keys", "key", "apikey"),
            _model(request, "Provider accounts", "hub", "provideraccount"),
            _webhooks(request),
        ),
        _group(
            "Control",
            _model(request, "Legal holds", "gavel", "legalhold"),
            _model(request, "Audit", "history", "auditevent"),
            _item(request, "Staff", "group", "admin:auth_user_changelist", "auth.view_user"),
            *system,
        ),
    ]


def account_links(request: HttpRequest) -> list[dict[str, str]]:
    """Return the links of the user's own menu."""
    links = [{"title": "API documentation", "link": reverse("docs")}]
    if settings.PASSWORD_SIGN_IN and isinstance(request.user, User) and request.user.has_usable_password():
        links += [
            {"title": "Change password", "link": reverse("admin:password_change")},
            {"title": "Second factor", "link": reverse("admin:login_factor")},
        ]
    return links


def _group(title: str, *items: dict[str, Any]) -> dict[str, Any]:
    return {"title": title, "items": list(items)}


def _model(request: HttpRequest, title: str, icon: str, model: str) -> dict[str, Any]:
    return _item(request, title, icon, f"admin:files_app_{model}_changelist", f"files_app.view_{model}")


def _item(
    request: HttpRequest, title: str, icon: str, view: str, permission: str | None = None
) -> dict[str, Any]:
    link = reverse(view)
    is_here = request.path == link if view == "admin:index" else request.path.startswith(link)
    allowed = permission is None or request.user.has_perm(permission)
    return {
        "title": title,
        "icon": icon,
        "link": link,
        "active": is_here,
        "permission": lambda request: allowed,
    }


def _webhooks(request: HttpRequest) -> dict[str, Any]:
    item = _model(request, "Webhooks", "webhook", "webhookendpoint")
    log = reverse("admin:files_app_webhookdelivery_changelist")
    return item | {"active": item["active"] or request.path.startswith(log)}


def _deletions(request: HttpRequest) -> dict[str, Any]:
    item = _model(request, "Deletions", "delete_sweep", "filecopy")
    dead = reach_for(request).limit(FileCopy.objects.filter(state=CopyState.DEAD), "file__organization")
    number = dead.order_by().values("pk")[:100].count()
    if number:
        item |= {"badge": "99+" if number > 99 else str(number), "badge_variant": "danger"}
    return item
