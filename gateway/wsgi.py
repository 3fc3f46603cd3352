"""The WSGI application that granian (or gunicorn) serves, with a watch over its slow clients."""

import ipaddress
import os
from collections.abc import Callable, Iterable
from typing import Any

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gateway.settings")
_django = get_wsgi_application()

from gateway import beats, connections, pulse  # noqa: E402 - its models need Django's applications
from gateway.slow_clients.watchdog import guarded  # noqa: E402 - the metrics need Django's settings

# Granian lays each request over a copy of the process's environment, with every secret in it.
_INHERITED = dict(os.environ)
_ALWAYS_GIVEN = frozenset(
    {"REQUEST_METHOD", "SCRIPT_NAME", "PATH_INFO", "QUERY_STRING", "REMOTE_ADDR"}
    | {"SERVER_NAME", "SERVER_PORT", "SERVER_PROTOCOL"}
)
_GIVEN_BY_SOME = frozenset({"CONTENT_TYPE", "CONTENT_LENGTH"})


def _may_be_given(name: str) -> bool:
    """Whether a variable is one of a request: a header, or one of the server's own with a dot in its name."""
    return name.startswith("HTTP_") or "." in name or name in _GIVEN_BY_SOME


_NEVER_GIVEN = frozenset(name for name in _INHERITED if not (name in _ALWAYS_GIVEN or _may_be_given(name)))


def _serve(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Serve a request, of which Django sees what a server has to tell and nothing else."""
    if settings.DEBUG and not _is_loopback(environ.get("REMOTE_ADDR", "")):
        # A server of your own choice binds where it likes, whatever BIND says.
        start_response("403 Forbidden", [("Content-Type", "text/plain")])
        return [b"DEBUG is on, so that only this host is served. Unset DEBUG.\n"]
    response = _django(request_variables(environ), start_response)
    return _whole(response) if isinstance(response, HttpResponse) else response


def _whole(response: HttpResponse) -> Iterable[bytes]:
    """Return a body that is there as a list, which granian sends at once; it asks for others by piece."""
    if type(response).__iter__ is not HttpResponse.__iter__:  # a refusal reads the request's body behind it
        return response
    try:
        return [response.content]
    finally:
        response.close()


def request_variables(environ: dict[str, Any]) -> dict[str, Any]:
    """Return what the server says about the request, without what it inherited."""
    return {
        name: environ[name]
        for name in environ.keys() - _NEVER_GIVEN
        if name in _ALWAYS_GIVEN or (_may_be_given(name) and _INHERITED.get(name) != environ[name])
    }


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address.removeprefix("::ffff:")).is_loopback
    except ValueError:
        return False


connections.serve_requests()
application = guarded(_serve)
pulse.start()
beats.start(lambda: True)
