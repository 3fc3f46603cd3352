#!/usr/bin/env python
"""Django's command line. A bad setting, a lost database, Ctrl-C, a reader that leaves: no traceback."""

import os
import signal
import sys

INTERRUPTED = 130
PIPE_CLOSED = 141


def main() -> None:
    if sys.argv[1:2] == ["run"] and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        # Until it has become something else it has nothing to tidy up, and an exception that Ctrl-C raises
        # within a callback is printed and lost.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        try:
            run()
        finally:
            sys.stdout.flush()
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted.\n")
        sys.exit(INTERRUPTED)
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(PIPE_CLOSED)


def run() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gateway.settings")
    try:
        from django.core.exceptions import ImproperlyConfigured
        from django.core.management import execute_from_command_line
        from django.db import DatabaseError, InterfaceError, OperationalError
    except ModuleNotFoundError:
        sys.exit(
            "error: Django is not installed here. Run `make run` once, then use .venv/bin/python manage.py"
        )
    try:
        import gateway.settings  # noqa: F401 - read before Django would wrap the failure
    except ImproperlyConfigured as error:
        sys.exit(f"error: {error}")
    try:
        execute_from_command_line(sys.argv)
    except (DatabaseError, InterfaceError) as error:
        from files_app.services.index.transactions import is_damaged
        from gateway.connections import explained

        is_absent = isinstance(error, OperationalError | InterfaceError)
        if "--traceback" in sys.argv or not (is_absent or is_damaged(error)):
            raise
        sys.exit(f"error: {explained(error)}")


if __name__ == "__main__":
    main()
