"""Loads the application before the web server forks: its workers share what none of them changes.

Nothing here may open a connection or start a thread: a fork would hand them on, half of a thread each.
"""

from __future__ import annotations

import ctypes
import gc
import multiprocessing
import os
import sys
from contextlib import suppress
from importlib import import_module


def load() -> None:
    """Import what requests need, where workers are forked; elsewhere each worker does it for itself."""
    if multiprocessing.get_start_method() != "fork":
        return
    gc.disable()  # what is imported stays: looking for garbage in it would only take time
    _set_up_django()
    for name in ("files_app.services.operations.health", "gateway.slow_clients.watchdog"):
        import_module(name)
    gc.collect()
    _give_back()
    gc.freeze()  # a collection writes to each object that it looks at, and what is written to is not shared
    gc.enable()


def _set_up_django() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gateway.settings")
    import django
    from django.conf import settings
    from django.urls import get_resolver

    if settings.DATABASES["default"]["ENGINE"] == "gateway.sqlite3":
        # Django's fields for PostgreSQL, which REST framework takes where they are, would bring it in: 6 MB.
        sys.modules.setdefault("psycopg", None)  # type: ignore[arg-type]  # import's way to say that it is absent
    django.setup()
    _ = get_resolver().url_patterns  # their views


def _give_back() -> None:
    """Let glibc give back what compiling and reading the modules took."""
    with suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)
