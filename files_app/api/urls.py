"""Routes of the API: under /v1, without a version, under /api/llm for clients of the hosted gateway, and
under /openai as Azure's clients ask.

Every path also answers with a trailing slash: a redirect would turn a POST into a GET.
"""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, include, path, re_path
from drf_spectacular.views import SpectacularSwaggerSplitView

from files_app.api import views
from files_app.api.viewsets import FileViewSet

_FILE_ID = r"(?P<file_id>(?:s3|gs)://.+?|[^/]+)"

api: list[URLPattern | URLResolver] = [
    re_path(r"^files/?$", FileViewSet.as_view({"get": "list", "post": "create"})),
    re_path(
        rf"^files/{_FILE_ID}/content/?$", FileViewSet.as_view({"get": "content", "head": "describe_content"})
    ),
    re_path(rf"^files/{_FILE_ID}/?$", FileViewSet.as_view({"get": "retrieve", "delete": "destroy"})),
    re_path(r"^providers/?$", views.ProvidersView.as_view()),
    re_path(r"^usage/?$", views.UsageView.as_view()),
]

urlpatterns: list[URLPattern | URLResolver] = [
    path("v1/", include(api)),
    path("api/llm/v1/", include(api)),
    path("api/llm/", include(api)),
    path("openai/v1/", include(api)),
    path("openai/", include(api)),
    path("", include(api)),
    path("openapi.json", views.OpenApiView.as_view(), name="schema"),
    path("docs", SpectacularSwaggerSplitView.as_view(url_name="schema"), name="docs"),
]
