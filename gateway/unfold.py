"""How the admin looks: the settings of django-unfold."""

from typing import Any

from django.templatetags.static import static

UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "Files Gateway",
    "SITE_HEADER": "Files Gateway",
    "SITE_SUBHEADER": "One Files API, every provider",
    "SITE_ICON": lambda request: static("files_app/icon.svg"),
    "SITE_URL": None,
    "SITE_FAVICONS": [{"rel": "icon", "href": lambda request: static("files_app/icon.svg")}],
    "SHOW_HISTORY": True,
    "SHOW_BACK_BUTTON": True,
    "STYLES": [lambda request: static("files_app/admin.css")],
    "SCRIPTS": [lambda request: static("files_app/admin.js")],
    "SIDEBAR": {"show_search": False, "navigation": "files_app.admin.navigation.sidebar"},
    "ACCOUNT": {"navigation": "files_app.admin.navigation.account_links"},
}
