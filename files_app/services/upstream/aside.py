"""Work in a thread of its own, so that a provider that hangs does not hold a request up."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from django.db import connection

T = TypeVar("T")


def aside(name: str, work: Callable[[], T]) -> Future[T]:
    """Begin `work` and return what will hold its result. It goes on when nobody waits any more.

    name: the thread's. `work` logs what goes wrong, and what it logs has the request's id.
    """
    done: Future[T] = Future()

    def run() -> None:
        try:
            result = work()
        except BaseException as exc:
            connection.close()
            done.set_exception(exc)
        else:
            connection.close()
            done.set_result(result)

    with_request_id = contextvars.copy_context()
    threading.Thread(target=with_request_id.run, args=(run,), name=name, daemon=True).start()
    return done
