"""Routes: health and metrics, the admin, and the API with its documentation."""

from django.conf import settings
from django.contrib import admin
from django.urls import include, path

from files_app.observability import views

urlpatterns = [
    path("healthz", views.healthz),
    path("readyz", views.readyz),
    path("metrics", views.metrics),
    path(settings.ADMIN_PATH, admin.site.urls),
    path("", include("files_app.api.urls")),
]

handler400 = "files_app.api.errors.bad_request"
handler403 = "files_app.api.errors.permission_denied"
handler404 = "files_app.api.errors.not_found"
handler500 = "files_app.api.errors.server_error"
