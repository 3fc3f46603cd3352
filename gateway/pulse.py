"""The thread that says of a web process that it is there, and which credentials it lacks."""

import threading
import time

import structlog
from django.conf import settings
from django.db import connection

from files_app.services.operations import heartbeats

log = structlog.get_logger(__name__)


def start() -> None:
    """Beat every WEB_BEAT_SECONDS for as long as the process lives; 0 never does."""
    if settings.WEB_BEAT_SECONDS:
        threading.Thread(target=_run, name="pulse", daemon=True).start()


def _run() -> None:
    while True:
        try:
            heartbeats.beat(heartbeats.WEB)
        except Exception as error:  # a database that is away comes back; so does the next beat
            log.warning("web_beat_failed", error=type(error).__name__)
        finally:
            connection.close()
        time.sleep(settings.WEB_BEAT_SECONDS)
