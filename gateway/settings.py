"""All settings, read from the environment (and from `.env`, which never overrides a variable that is set).

Secrets marked * may also be given as NAME_FILE, the path of a file that holds the value.

    where it runs       BIND, PORT, WEB_WORKERS, WEB_THREADS, WORKER_CONCURRENCY, SHUTDOWN_DRAIN_SECONDS,
                        SHUTDOWN_GRACE_SECONDS
    state               DATA_DIR, SPOOL_DIR, DATABASE_URL*, DATABASE_BEHIND_POOLER, CELERY_BROKER_URL*,
                        STATIC_ROOT
    secrets             SECRET_KEY*, FIELD_ENCRYPTION_KEYS*, API_KEY_PEPPERS*, METRICS_TOKEN*
    first start         BOOTSTRAP_API_KEY*, BOOTSTRAP_ADMIN_PASSWORD*
    HTTP                ALLOWED_HOSTS, CSRF_TRUSTED_ORIGINS, CORS_ALLOWED_ORIGINS, BEHIND_TLS_PROXY,
                        PROXY_COUNT, PROXY_HEADER, ADMIN_PATH
    signing in          OIDC_ISSUER, OIDC_CLIENT_ID, OIDC_CLIENT_SECRET*, OIDC_NAME, OIDC_SCOPES,
                        OIDC_USERNAME_CLAIM, OIDC_ROLES_CLAIM, OIDC_ROLES, OIDC_ORGANIZATIONS_CLAIM,
                        OIDC_ORGANIZATIONS, OIDC_SESSION_SECONDS, PASSWORD_SIGN_IN,
                        SECOND_FACTOR_FOR
    logs                LOG_FORMAT, LOG_LEVEL, DEBUG
    limits              MAX_FILE_BYTES, ORGANIZATION_QUOTA_BYTES, ORGANIZATION_MAX_FILES,
                        BATCH_MAX_FILE_BYTES, BATCH_MAX_LINE_BYTES, BATCH_MAX_LINES,
                        ASSISTANTS_MAX_TOKENS
    transfers           CLIENT_LEAST_RATE, CLIENT_IDLE_SECONDS, LEASE_SECONDS,
                        UPLOAD_LEASE_SECONDS, SDK_RETRY_WINDOW_SECONDS, IDEMPOTENCY_TTL_SECONDS,
                        REFUSED_BODY_BYTES, REFUSED_BODY_SECONDS, REFUSED_BODY_THREADS
    rate limits         WRONG_KEYS_PER_MINUTE, SIGN_INS_PER_MINUTE, REQUESTS_PER_MINUTE, BYTES_PER_MINUTE,
                        UPLOADS_PER_MINUTE, UPLOADS_AT_ONCE, ORGANIZATION_UPLOADS_AT_ONCE,
                        KEY_REQUESTS_PER_MINUTE, KEY_BYTES_PER_MINUTE, KEY_UPLOADS_PER_MINUTE,
                        THROTTLE_STORAGE_URL*
    shares, breakers    ACCOUNT_SHARE, KEY_SHARE, ORGANIZATION_SHARE, TRANSFERS_SHARE,
                        BREAKER_FAILURES, BREAKER_SECONDS
    providers           PROVIDER_CONNECT_TIMEOUT_SECONDS, PROVIDER_READ_TIMEOUT_SECONDS,
                        PROVIDER_WRITE_TIMEOUT_SECONDS, ALLOW_PRIVATE_UPSTREAMS, PROVIDER_PROXY*,
                        CA_BUNDLE
    sync and clean-up   LIST_FRESHNESS_SECONDS, SYNC_INTERVAL_SECONDS, CLEANUP_PROTECTION_SECONDS,
                        LOST_AFTER_SECONDS, AUDIT_RETENTION_DAYS,
                        TOMBSTONE_RETENTION_DAYS

`docs/configuration.md` says what each means; each default stands beside its name below.
"""

import base64
import os
import secrets
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from gateway.addresses import BROKER_SCHEMES, THROTTLE_SCHEMES, message_url
from gateway.admission_settings import *  # noqa: F403
from gateway.api_settings import API_PATHS, REST_FRAMEWORK, SPECTACULAR_SETTINGS  # noqa: F401 - they are settings too
from gateway.authorities import amqps_options, trusting, verified_redis
from gateway.connections import broker_transport_options, database
from gateway.egress import ca_bundle, provider_proxies
from gateway.environment import (
    boolean,
    directory,
    generated_secret,
    header_name,
    host_names,
    integer,
    origins,
    read_file,
    retired,
    secret,
    secret_words,
    switch_or_networks,
    text,
    url_path,
)
from gateway.limit_settings import *  # noqa: F403
from gateway.sign_in_settings import *  # noqa: F403 - and OIDC_CLIENT_SECRET below
from gateway.unfold import UNFOLD as UNFOLD
from gateway.worker_settings import *  # noqa: F403 - the rest of CELERY_*, and UPKEEP_SECONDS

BASE_DIR = Path(__file__).resolve().parent.parent
read_file(BASE_DIR / ".env")

VERSION = "0.1.0"  # pyproject.toml says the same

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB
DAY = 86_400  # seconds; sockets count milliseconds, in 31 bits
YEAR = 365 * DAY

# -- where it runs ---------------------------------------------------------------------------------

DEBUG = boolean("DEBUG", False)
BIND = text("BIND", "127.0.0.1")
PORT = integer("PORT", 8000, minimum=1, maximum=65_535)
IS_LOOPBACK = BIND in {"127.0.0.1", "localhost", "::1"}
WEB_WORKERS = integer("WEB_WORKERS", 2, minimum=1)
WEB_THREADS = integer("WEB_THREADS", 64, minimum=2)  # requests that work at once; a transfer mostly waits
# granian counts idle connections too: at this many it accepts no other, not even a health check. It has a
# thread for each, begun when it is needed, so that requests wait in `web/places.py` and probes not at all.
CONNECTIONS_PER_WORKER = 1024
WORKER_CONCURRENCY = integer("WORKER_CONCURRENCY", 16, minimum=1)  # threads, for providers
SHUTDOWN_DRAIN_SECONDS = integer("SHUTDOWN_DRAIN_SECONDS", 5, maximum=DAY)
SHUTDOWN_GRACE_SECONDS = integer("SHUTDOWN_GRACE_SECONDS", 30, minimum=1, maximum=DAY)

# Whatever any of our processes writes (databases, files, spools, counters) is for its own user alone.
os.umask(0o077)

# -- state -----------------------------------------------------------------------------------------

DATA_DIR = directory("DATA_DIR", BASE_DIR / "var")
SPOOL_DIR = directory("SPOOL_DIR", DATA_DIR / "spool")

# prometheus_client reads the variable when it is imported. The web and Celery processes of a host share it.
METRICS_DIR = directory("PROMETHEUS_MULTIPROC_DIR", DATA_DIR / "metrics")
os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(METRICS_DIR)

CA_BUNDLE = ca_bundle(text("CA_BUNDLE"))
DATABASES = {
    "default": trusting(
        database(
            secret("DATABASE_URL") or f"sqlite:///{DATA_DIR / 'gateway.sqlite3'}",
            behind_pooler=boolean("DATABASE_BEHIND_POOLER"),
        ),
        CA_BUNDLE,
    )
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# -- secrets ---------------------------------------------------------------------------------------

SECRET_CHARACTERS = 32  # fewer could be guessed by whoever has a digest, or may ask as often as he likes

# Names of the secrets that nobody supplied. `check --deploy` refuses them where each host would make its own.
GENERATED_SECRETS: list[str] = []


def secret_or_generated(name: str, generate: Any, *, least: int = SECRET_CHARACTERS) -> list[str]:
    """Return the secrets in the variable, else one that is made once and kept in DATA_DIR."""
    if given := secret_words(name, least=least):
        return given
    GENERATED_SECRETS.append(name)
    return [generated_secret(DATA_DIR / "secrets" / name.lower(), generate)]


def fernet_key() -> str:
    return base64.urlsafe_b64encode(os.urandom(32)).decode()


SECRET_KEY = secret_or_generated("SECRET_KEY", lambda: secrets.token_urlsafe(50))[0]
# The first encrypts, all decrypt. A system check says whether they are keys.
FIELD_ENCRYPTION_KEYS = secret_or_generated("FIELD_ENCRYPTION_KEYS", fernet_key, least=0)
API_KEY_PEPPERS = secret_or_generated(
    "API_KEY_PEPPERS", lambda: secrets.token_hex(32)
)  # the first for new keys
METRICS_TOKEN = secret("METRICS_TOKEN", least=SECRET_CHARACTERS)
OIDC_CLIENT_SECRET = secret("OIDC_CLIENT_SECRET")  # none: a public client, which PKCE alone protects
BOOTSTRAP_API_KEY = secret("BOOTSTRAP_API_KEY")
BOOTSTRAP_ADMIN_PASSWORD = secret("BOOTSTRAP_ADMIN_PASSWORD")

# -- limits of the service -------------------------------------------------------------------------

MAX_FILE_BYTES = integer("MAX_FILE_BYTES", 512 * MIB)
ORGANIZATION_QUOTA_BYTES = integer("ORGANIZATION_QUOTA_BYTES", 100 * GIB)
ORGANIZATION_MAX_FILES = integer("ORGANIZATION_MAX_FILES", 1_000_000)  # 0: no limit
BATCH_MAX_FILE_BYTES = integer("BATCH_MAX_FILE_BYTES", 50 * MIB)
BATCH_MAX_LINE_BYTES = integer("BATCH_MAX_LINE_BYTES", 32 * MIB)
BATCH_MAX_DEPTH = 64
BATCH_MAX_LINES = integer("BATCH_MAX_LINES", 50_000)
ASSISTANTS_MAX_TOKENS = integer("ASSISTANTS_MAX_TOKENS", 2_000_000)
MULTIPART_OVERHEAD_BYTES = 64 * KIB  # what a form may hold around its file

# -- transfers and providers -----------------------------------------------------------------------

UPLOAD_CHUNK_BYTES = 256 * KIB  # smaller reads cost CPU, larger ones memory for each transfer
DOWNLOAD_CHUNK_BYTES = 256 * KIB
CLIENT_LEAST_RATE = integer("CLIENT_LEAST_RATE", KIB)  # bytes a second, either way; 0: any
CLIENT_IDLE_SECONDS = integer("CLIENT_IDLE_SECONDS", 60, minimum=1, maximum=DAY)
LEASE_SECONDS = integer("LEASE_SECONDS", 40, minimum=4, maximum=DAY)
UPLOAD_LEASE_SECONDS = integer("UPLOAD_LEASE_SECONDS", 120, minimum=1, maximum=DAY)
REFUSED_BODY_BYTES = integer("REFUSED_BODY_BYTES", 17 * MIB)  # with a good key, MAX_FILE_BYTES more
REFUSED_BODY_SECONDS = integer("REFUSED_BODY_SECONDS", 30, minimum=1, maximum=DAY)
REFUSED_BODY_THREADS = integer("REFUSED_BODY_THREADS", max(1, WEB_THREADS // 8))  # of each web process
SDK_RETRY_WINDOW_SECONDS = integer("SDK_RETRY_WINDOW_SECONDS", 900, maximum=YEAR)
IDEMPOTENCY_TTL_SECONDS = integer("IDEMPOTENCY_TTL_SECONDS", 86_400, maximum=YEAR)
THROTTLE_STORAGE_URL = verified_redis(
    message_url("THROTTLE_STORAGE_URL", secret("THROTTLE_STORAGE_URL") or "database://", THROTTLE_SCHEMES),
    CA_BUNDLE,
)
PROVIDER_CONNECT_TIMEOUT_SECONDS = integer("PROVIDER_CONNECT_TIMEOUT_SECONDS", 5, minimum=1, maximum=DAY)
PROVIDER_READ_TIMEOUT_SECONDS = integer("PROVIDER_READ_TIMEOUT_SECONDS", 300, minimum=1, maximum=DAY)
PROVIDER_WRITE_TIMEOUT_SECONDS = integer("PROVIDER_WRITE_TIMEOUT_SECONDS", 60, minimum=1, maximum=DAY)
PROVIDER_PROXIES = provider_proxies(secret("PROVIDER_PROXY"))
ALLOW_PRIVATE_UPSTREAMS = switch_or_networks("ALLOW_PRIVATE_UPSTREAMS")  # of operators' accounts alone

# -- sync and clean-up -----------------------------------------------------------------------------

LIST_FRESHNESS_SECONDS = integer("LIST_FRESHNESS_SECONDS", 30, maximum=YEAR)
SYNC_WAIT_SECONDS = 5.0  # how long a list waits for its provider; then the index answers, the sync goes on
WEB_BEAT_SECONDS = 60  # how often a web process says that it is there
SYNC_INTERVAL_SECONDS = integer("SYNC_INTERVAL_SECONDS", 300, maximum=YEAR)
CLEANUP_PROTECTION_SECONDS = integer("CLEANUP_PROTECTION_SECONDS", 86_400, maximum=YEAR)
LOST_AFTER_SECONDS = integer("LOST_AFTER_SECONDS", 900, maximum=YEAR)  # a younger file may not be shown yet
AUDIT_RETENTION_DAYS = integer("AUDIT_RETENTION_DAYS", 365, maximum=36_500)  # 0: for ever
TOMBSTONE_RETENTION_DAYS = integer("TOMBSTONE_RETENTION_DAYS", 30, minimum=30, maximum=36_500)

# Variables of earlier versions, which nobody reads any more: the start names those that are set.
RETIRED_VARIABLES = retired(
    "BATCH_MAX_DEPTH",
    "MULTIPART_OVERHEAD_BYTES",
    "UPLOAD_CHUNK_BYTES",
    "DOWNLOAD_CHUNK_BYTES",
    "SYNC_WAIT_SECONDS",
)

# -- applications and middleware -------------------------------------------------------------------

INSTALLED_APPS = [
    "files_app.apps.UnfoldConfig",  # before the admin, whose templates it replaces
    "files_app.apps.GatewayAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "axes",
    "corsheaders",
    "files_app",
    "gateway",
]

MIDDLEWARE = [
    "files_app.web.unread_bodies.UnreadBodyMiddleware",  # first: what it does follows the answer
    "files_app.web.request_log.RequestMiddleware",  # it times and logs all below
    "files_app.web.turns.TurnMiddleware",  # of many that want to work, one organization's wait for each other
    "files_app.web.places.PlacesMiddleware",  # behind it, only so many requests work at a time
    "files_app.web.security_headers.SecurityHeadersMiddleware",
    "files_app.web.hosts.HostMiddleware",
    "files_app.web.cross_origin.CrossOriginMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "gateway.people.SessionMiddleware",
    "gateway.people.CsrfViewMiddleware",
    "gateway.people.AuthenticationMiddleware",
    "gateway.people.MessageMiddleware",
    "gateway.people.TimeZoneMiddleware",
    "gateway.people.XFrameOptionsMiddleware",
    "gateway.people.AxesMiddleware",  # last, as its documentation asks
]

ROOT_URLCONF = "gateway.urls"
WSGI_APPLICATION = "gateway.wsgi.application"
ADMIN_PATH = url_path("ADMIN_PATH", "admin", taken=API_PATHS) + "/"
APPEND_SLASH = False  # a redirect would turn a client's POST into a GET

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

STATIC_URL = "/static/"
# Static files are served from where the packages keep them, so there is no collectstatic step to forget.
# STATIC_ROOT is for a deployment whose web server serves them.
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = False
STATIC_ROOT = text("STATIC_ROOT") or None
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage",
        # What collectstatic writes is for another server's user.
        "OPTIONS": {"file_permissions_mode": 0o644, "directory_permissions_mode": 0o755},
    },
}

LANGUAGE_CODE = "en-us"
USE_I18N = False
TIME_ZONE = "UTC"
USE_TZ = True

# -- security --------------------------------------------------------------------------------------

ALLOWED_HOSTS = host_names("ALLOWED_HOSTS", "localhost, 127.0.0.1, [::1]")
CSRF_TRUSTED_ORIGINS = origins("CSRF_TRUSTED_ORIGINS")
CORS_ALLOWED_ORIGINS = origins("CORS_ALLOWED_ORIGINS")
CORS_URLS_REGEX = r"/(v1/|api/llm/(v1/)?|openai/(v1/)?)?(files|providers|usage)(/|$)"
CORS_ALLOW_METHODS = ["GET", "HEAD", "POST", "DELETE"]
CORS_ALLOW_HEADERS = ["*", "Authorization"]  # `*` stands for all but this one; cookies are not at stake
CORS_EXPOSE_HEADERS = ["*"]
CSRF_FAILURE_VIEW = "files_app.web.errors.csrf_failure"
PROXY_COUNT = integer("PROXY_COUNT", 0)  # our own proxies in front: so many elements of PROXY_HEADER are true
PROXY_HEADER = header_name("PROXY_HEADER", "Forwarded")
BEHIND_TLS_PROXY = boolean("BEHIND_TLS_PROXY", False)  # the proxy sets X-Forwarded-Proto on every request
if BEHIND_TLS_PROXY:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

if DEBUG and (BEHIND_TLS_PROXY or PROXY_COUNT or not IS_LOOPBACK):
    raise ImproperlyConfigured(
        f"DEBUG shows code and data to everybody who reaches the gateway, and others can: BIND is {BIND}, "
        f"BEHIND_TLS_PROXY is {BEHIND_TLS_PROXY}, PROXY_COUNT is {PROXY_COUNT}. Unset DEBUG."
    )

# Secure cookies would make the admin unusable over http://127.0.0.1, which is where `make run` serves it.
HAS_TLS = BEHIND_TLS_PROXY or not IS_LOOPBACK
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HAS_TLS
SESSION_COOKIE_NAME = "__Host-sessionid" if HAS_TLS else "sessionid"
CSRF_COOKIE_NAME = "__Host-csrftoken" if HAS_TLS else "csrftoken"
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Strict"
SESSION_COOKIE_AGE = 8 * 60 * 60
# Lax, as the way back from the provider is another site's; for ten minutes, and good for nothing else.
OIDC_COOKIE_NAME = "__Host-oidc" if HAS_TLS else "oidc"
SECURE_HSTS_SECONDS = 31_536_000 if HAS_TLS else 0
SILENCED_SYSTEM_CHECKS = [
    "axes.W002",  # looks for its middleware by name, of which `gateway.people` has a subclass
    "security.W002",  # looks for Django's middleware by name; `gateway.people` has a subclass of it
    "security.W003",  # the same
    "security.W005",  # what other names below the domain do is not ours to decide
    "security.W008",  # SECURE_SSL_REDIRECT would turn a client's POST into a GET
    "security.W021",  # the same as W005, for browsers' preload lists
]
X_FRAME_OPTIONS = "DENY"

AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
PASSWORD_HASHERS = ["gateway.passwords.PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_LOCKOUT_PARAMETERS = [
    ["username", "ip_address"]
]  # by name alone, a stranger could lock out the operator
AXES_ENABLE_ADMIN = False
AXES_LOCKOUT_TEMPLATE = "files_app/admin/locked.html"
DEFAULT_EXCEPTION_REPORTER_FILTER = "files_app.observability.redaction.ReporterFilter"

# -- admin -----------------------------------------------------------------------------------------

LOGIN_REDIRECT_URL = f"/{ADMIN_PATH}"

# -- Celery ----------------------------------------------------------------------------------------

CELERY_BROKER_URL = verified_redis(
    message_url("CELERY_BROKER_URL", secret("CELERY_BROKER_URL") or "filesystem://localhost", BROKER_SCHEMES),
    CA_BUNDLE,
)
CELERY_BROKER_USE_SSL = amqps_options(CELERY_BROKER_URL, CA_BUNDLE)
CELERY_BROKER_TRANSPORT_OPTIONS = broker_transport_options(CELERY_BROKER_URL, DATA_DIR)

# -- logs ------------------------------------------------------------------------------------------

LOG_FORMAT = text("LOG_FORMAT", "console" if sys.stdout.isatty() else "json", choices={"json", "console"})
LOG_LEVEL = text("LOG_LEVEL", "INFO", choices={"DEBUG", "INFO", "WARNING", "ERROR"})
LOGGING_CONFIG = "files_app.observability.logs.configure"
LOGGING = {"format": LOG_FORMAT, "level": LOG_LEVEL}
