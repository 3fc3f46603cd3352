"""The routes of the admin; whoever imports them loads all of it."""

from django.contrib import admin

import files_app.admin.pages_of_models  # noqa: F401 - registers them

urlpatterns, _, _ = admin.site.urls
