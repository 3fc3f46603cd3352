"""The gateway's settings for the suite: a directory of its own, nothing from the environment."""

import atexit
import os
import shutil
import tempfile

DIRECTORY = tempfile.mkdtemp(prefix="files-gateway-tests-")
atexit.register(shutil.rmtree, DIRECTORY, ignore_errors=True)

# The whole suite also runs on PostgreSQL: TEST_DATABASE_URL=postgres://... make test
TEST_DATABASE_URL = os.environ.get("TEST_DATABASE_URL", "")

os.environ.update(
    DATA_DIR=DIRECTORY,
    SPOOL_DIR="",
    PROMETHEUS_MULTIPROC_DIR="",
    DATABASE_URL=TEST_DATABASE_URL,
    CELERY_BROKER_URL="",
    BIND="127.0.0.1",
    DEBUG="",
    SECRET_KEY="only-for-tests" * 3,
    FIELD_ENCRYPTION_KEYS="Zm9yLXRlc3RzLW9ubHktZm9yLXRlc3RzLW9ubHktMDA=",
    API_KEY_PEPPERS="only-for-tests" * 3,
    METRICS_TOKEN="",
    BOOTSTRAP_API_KEY="",
    BOOTSTRAP_ADMIN_PASSWORD="",
    ALLOWED_HOSTS="testserver, localhost, 127.0.0.1",
    ALLOW_PRIVATE_UPSTREAMS="true",
    CA_BUNDLE="",
    PROVIDER_PROXY="",
    OIDC_ISSUER="",
    PASSWORD_SIGN_IN="",
    SECOND_FACTOR_FOR="",
    WRONG_KEYS_PER_MINUTE="0",  # the suite tries thousands
    LOG_FORMAT="json",
    LOG_LEVEL="INFO",
)

from gateway.settings import *  # noqa: E402, F403
from gateway.settings import DATA_DIR, DATABASES  # noqa: E402

if not TEST_DATABASE_URL:
    # A file and not memory: threads then meet the locks that they meet in production.
    DATABASES["default"]["TEST"] = {"NAME": str(DATA_DIR / "test.sqlite3")}
    DATABASES["default"]["OPTIONS"]["init_command"] = "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF"

WEB_BEAT_SECONDS = 0  # tests import the application without being a server
SETTLE_SECONDS = 0  # the same; a test that is about it settles itself
USAGE_WRITE_SECONDS = 0  # the same
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # the real one takes a third of a second
