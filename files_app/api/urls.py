"""Routes of the API: under /v1, without a version, under /api/llm for clients of the hosted gateway, and
under /openai as Azure's clients ask.

Every path also answers with a trailing slash: a redirect would turn a POST into a GET.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import URLPattern, URLResolver, include, path, re_path
from drf_spectacular.views import SpectacularSwaggerSplitView

from files_app.api import deletions, views
from files_app.api.anthropic.viewsets import AnthropicFileViewSet, speaks_anthropic
from files_app.api.viewsets import FileViewSet

_JOB_ID = r"(?P<deletion_id>job-[a-z2-7]{26})"
_FILE_ID = r"(?P<file_id>(?:s3|gs)://.+?|[^/]+)"


def files(**actions: str) -> Callable[..., HttpResponseBase]:
    """Return a view of the files that answers in the client's dialect; actions by method."""
    openai, anthropic = FileViewSet.as_view({**actions}), AnthropicFileViewSet.as_view({**actions})

    @wraps(openai)
    def view(request: HttpRequest, **kwargs: str) -> HttpResponseBase:
        return (anthropic if speaks_anthropic(request) else openai)(request, **kwargs)

    return view


def api(prefix: str = "") -> list[URLPattern]:
    """Return the routes, each with the prefix: to look for one behind another takes longer."""
    return [
        re_path(rf"^{prefix}files/?$", files(get="list", post="create"), name="files"),
        re_path(rf"^{prefix}files/deletions/?$", deletions.DeletionsView.as_view(), name="deletions"),
        re_path(rf"^{prefix}files/deletions/{_JOB_ID}/?$", deletions.DeletionView.as_view(), name="deletion"),
        re_path(
            rf"^{prefix}files/deletions/{_JOB_ID}/cancel/?$",
            deletions.DeletionCancelView.as_view(),
            name="deletion-cancel",
        ),
        re_path(
            rf"^{prefix}files/deletions/{_JOB_ID}/report/?$",
            deletions.DeletionReportView.as_view(),
            name="deletion-report",
        ),
        re_path(
            rf"^{prefix}files/{_FILE_ID}/content/?$",
            files(get="content", head="describe_content"),
            name="file-content",
        ),
        re_path(rf"^{prefix}files/{_FILE_ID}/?$", files(get="retrieve", delete="destroy"), name="file"),
        re_path(rf"^{prefix}providers/?$", views.ProvidersView.as_view(), name="providers"),
        re_path(rf"^{prefix}usage/?$", views.UsageView.as_view(), name="usage"),
    ]


urlpatterns: list[URLPattern | URLResolver] = [
    *api("v1/"),
    path("api/llm/v1/", include(api())),
    path("api/llm/", include(api())),
    path("openai/v1/", include(api())),
    path("openai/", include(api())),
    path("", include(api())),
    path("openapi.json", views.OpenApiView.as_view(), name="schema"),
    path("docs", SpectacularSwaggerSplitView.as_view(url_name="schema"), name="docs"),
]
