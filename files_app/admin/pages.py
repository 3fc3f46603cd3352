"""Renders a page that belongs to no model."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.template.response import TemplateResponse

from files_app.web.exception_handler import answer_for


def page(
    request: HttpRequest,
    template: str,
    title: str,
    context: dict[str, Any] | None = None,
    *,
    status: int = 200,
) -> TemplateResponse:
    """Return the page inside of the admin's frame."""
    request.current_app = admin.site.name
    return TemplateResponse(
        request,
        f"files_app/admin/{template}",
        {**admin.site.each_context(request), "title": title, **(context or {})},
        status=status,
    )


def not_possible(request: HttpRequest, title: str, exc: Exception, opts: Any) -> TemplateResponse:
    """Return the page that says in the API's words why something cannot be had, and leads back."""
    answer = answer_for(exc)
    context = {"reason": answer.message, "opts": opts}
    return page(request, "not_possible.html", title, context, status=answer.status)
