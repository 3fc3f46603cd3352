"""Routes: the front page, health and metrics, the admin, and the API with its documentation."""

from django.conf import settings
from django.templatetags.static import static
from django.urls import path

from files_app.api.urls import urlpatterns as api
from files_app.web import home, probes

urlpatterns = [
    *api,  # first: most requests are for it
    path("", home.home, name="home"),
    path("favicon.ico", home.elsewhere(static("files_app/icon.svg")), name="favicon"),
    path("docs/", home.elsewhere("/docs"), name="docs-elsewhere"),
    path(settings.ADMIN_PATH.rstrip("/"), home.elsewhere(f"/{settings.ADMIN_PATH}"), name="admin-elsewhere"),
    path("healthz", probes.healthz, name="healthz"),
    path("readyz", probes.readyz, name="readyz"),
    path("metrics", probes.metrics, name="metrics"),
    # By name: most processes are never asked for the admin, and it would be a fifth of their memory.
    path(settings.ADMIN_PATH, ("files_app.admin.urls", "admin", "admin")),
]

handler400 = "files_app.web.errors.bad_request"
handler403 = "files_app.web.errors.permission_denied"
handler404 = "files_app.web.errors.not_found"
handler500 = "files_app.web.errors.server_error"
