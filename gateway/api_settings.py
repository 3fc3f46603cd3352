"""What Django REST framework and drf-spectacular are told: no operator changes any of it."""

#: Where routes of our own begin (`gateway/urls.py`): the admin there would hide them.
API_PATHS = frozenset(
    {"v1", "api", "openai", "files", "providers", "usage", "openapi.json", "docs", "favicon.ico"}
    | {"healthz", "readyz", "metrics", "static"}
)

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["files_app.api.authentication.ApiKeyAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["files_app.api.permissions.HasApiKey"],
    "DEFAULT_THROTTLE_CLASSES": ["files_app.api.throttles.RequestRate"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "files_app.api.negotiation.IgnoreAccept",
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_METADATA_CLASS": None,  # OPTIONS is for preflights, which never reach a view
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "files_app.web.exception_handler.exception_handler",
    "UNAUTHENTICATED_USER": None,
}

SPECTACULAR_SETTINGS = {
    "TITLE": "Files gateway",
    "DESCRIPTION": "One OpenAI-compatible Files API in front of every LLM provider.",
    "VERSION": "1",
    "SERVERS": [{"url": "/", "description": "The gateway that this document comes from"}],
    "TAGS": [
        {"name": "files", "description": "OpenAI's Files API, for every provider account."},
        {"name": "providers", "description": "What the accounts that a key may use can do."},
        {"name": "usage", "description": "What the organization holds of its quota."},
    ],
    "PREPROCESSING_HOOKS": ["files_app.api.schema.select_endpoints"],
    "POSTPROCESSING_HOOKS": ["files_app.api.schema.tidy"],
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_AUTHENTICATION": [],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
}
