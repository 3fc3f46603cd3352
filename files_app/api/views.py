"""The small views beside the files: the accounts that a key may use, its usage, and the OpenAPI document."""

from __future__ import annotations

from functools import cache
from typing import Any

from django.conf import settings
from django.http import HttpResponse
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiJsonRenderer
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView

from files_app.api import parameters, schema
from files_app.api.authentication import caller_of
from files_app.api.serializers import provider_object, retention_object, usage_object, used_object
from files_app.exceptions import InvalidRequestError
from files_app.models import Organization
from files_app.models.retention import organization_and_all_rules
from files_app.services.accounts.selection import usable_accounts
from files_app.services.index.metering import report

#: As many as a list of files has at most.
_MOST_USED = 10_000


class ProvidersView(APIView):
    """The accounts that the key may use."""

    @schema.list_providers
    def get(self, request: Request) -> Response:
        """List provider accounts with their capabilities and limits."""
        organization, rules = organization_and_all_rules(caller_of(request).organization_id)
        limits = service_limits()
        data = [
            provider_object(account, organization, limits)
            | {"retention": retention_object(each for each in rules if each.account_id in (None, account.pk))}
            for account in usable_accounts(organization)
        ]
        return Response({"object": "list", "data": data})


class UsageView(APIView):
    """What the organization uses."""

    @schema.retrieve_usage
    def get(self, request: Request) -> Response:
        """Return used, reserved and allowed bytes; with `start` or `end`, what was used on those days."""
        if days := parameters.usage_days(request.query_params):
            return Response(self._on(days, parameters.usage_groups(request.query_params)))
        organization = Organization.objects.get(pk=caller_of(request).organization_id)
        return Response(usage_object(organization))

    def _on(self, days: report.Days, groups: list[report.Group]) -> dict[str, Any]:
        rows = report.within(days).filter(organization=caller_of(self.request).organization_id)
        found = report.added_up(rows, ["day", *groups], most=_MOST_USED + 1)
        if len(found) > _MOST_USED:
            raise InvalidRequestError(
                f"That is usage of more than {_MOST_USED:,} groups: ask for fewer days at a time, or group "
                "by less.",
                param="group_by",
            )
        return {"object": "list", "data": [used_object(used) for used in found], "has_more": False}


class OpenApiView(APIView):
    """The OpenAPI document, for everybody."""

    authentication_classes: list[type[BaseAuthentication]] = []
    permission_classes = [AllowAny]
    throttle_classes: list[type[BaseThrottle]] = []

    def get(self, request: Request) -> HttpResponse:
        """Answer it as a file that browsers show."""
        return HttpResponse(
            openapi_document(),
            content_type=OpenApiJsonRenderer.media_type,
            headers={"Content-Disposition": 'inline; filename="Files gateway.json"'},
        )


@cache
def openapi_document() -> bytes:
    """Return the document as JSON. A process makes it once: it is the same for everybody."""
    document = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    return bytes(OpenApiJsonRenderer().render(document))


def service_limits() -> dict[str, int]:
    """Return the limits that hold for every provider."""
    return {
        "batch_max_file_bytes": settings.BATCH_MAX_FILE_BYTES,
        "batch_max_line_bytes": settings.BATCH_MAX_LINE_BYTES,
        "batch_max_lines": settings.BATCH_MAX_LINES,
        "batch_max_depth": settings.BATCH_MAX_DEPTH,
        "assistants_max_tokens": settings.ASSISTANTS_MAX_TOKENS,
    }
