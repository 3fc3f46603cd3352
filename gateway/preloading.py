"""Loads the application before processes are forked: they share what none of them changes.

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

#: What a web process imports before its first request, and what most drivers are made of.
_FIRST_NEEDED = (
    *("files_app.services.operations.health", "gateway.slow_clients.watchdog", "gateway.pulse"),
    *("multiprocessing.popen_fork", "providers.generic", "providers.local"),
)


def forks() -> bool:
    """Whether Python starts processes by forking here; elsewhere each loads for itself."""
    return multiprocessing.get_start_method() == "fork"


def load(*parts: str) -> None:
    """Import what requests need, and these modules, once, where processes are forked."""
    if not forks() or gc.get_freeze_count():
        return
    gc.disable()  # what is imported stays: looking for garbage in it would only take time
    _set_up_django()
    for name in (*_FIRST_NEEDED, *parts):
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
    from django.utils.module_loading import import_string

    if settings.DATABASES["default"]["ENGINE"] == "gateway.sqlite3":
        # Django's fields for PostgreSQL, which REST framework takes where they are, would bring it in: 6 MB.
        sys.modules.setdefault("psycopg", None)  # type: ignore[arg-type]  # import's way to say that it is absent
    django.setup()
    _ = get_resolver().url_patterns  # their views
    for name in settings.MIDDLEWARE:
        import_string(name)


def _give_back() -> None:
    """Let glibc give back what compiling and reading the modules took."""
    with suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)
