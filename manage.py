#!/usr/bin/env python
"""Django's command line, with a bad setting reported in one line instead of a traceback."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gateway.settings")
    try:
        from django.core.exceptions import ImproperlyConfigured
        from django.core.management import execute_from_command_line
    except ModuleNotFoundError:
        sys.exit(
            "error: Django is not installed here. Run `make run` once, then use .venv/bin/python manage.py"
        )
    try:
        import gateway.settings  # noqa: F401 - read before Django would wrap the failure
    except ImproperlyConfigured as error:
        sys.exit(f"error: {error}")
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
