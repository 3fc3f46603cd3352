"""Refuses requests for a host name that is not ours; Django asks only where it builds a URL of it."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from files_app.web.request_log import PROBES

_MOST_KNOWN = 100


class HostMiddleware:
    """Probes may come by any name: load balancers call an address. So may the style of the refusal's page."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response
        self._ours: set[str] = set()  # of late: to ask Django takes longer

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        host = request.META.get("HTTP_HOST")
        if (
            host not in self._ours
            and request.path not in PROBES
            and not request.path.startswith(settings.STATIC_URL)
        ):
            request.get_host()  # raises DisallowedHost, which Django answers with 400
            if host:
                self._remember(host)
        return self.get_response(request)

    def _remember(self, host: str) -> None:
        if len(self._ours) >= _MOST_KNOWN:  # ALLOWED_HOSTS may allow any name
            self._ours.clear()
        self._ours.add(host)
