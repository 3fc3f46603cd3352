"""The Django project: settings, URLs, the WSGI and Celery applications, and the supervisor."""

from gateway.celery import app as celery_app

__all__ = ["celery_app"]
