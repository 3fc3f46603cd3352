#!/usr/bin/env python
"""Django's command line, with a bad setting or an unusable database reported in one line, not a traceback."""

import os
import sys


def main() -> None:
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
