"""The Django project: settings, URLs, the WSGI and Celery applications, and the supervisor.

Nothing is imported here: the supervisor and the server's main process are small because of that.
"""
