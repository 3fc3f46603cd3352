"""The WSGI application that granian (or gunicorn) serves, with a watch over its slow clients."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gateway.settings")
_django = get_wsgi_application()

from gateway.slow_clients.watchdog import guarded  # noqa: E402 - the metrics need Django's settings

application = guarded(_django)
