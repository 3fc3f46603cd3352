"""What a caller may do: every view names the scope of each method."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from files_app.api.authentication import caller_of
from files_app.exceptions import NotAllowedError
from files_app.models.organizations import Scope

if TYPE_CHECKING:
    from rest_framework.views import (
        APIView,  # DRF reads its settings, and so this module, while it loads views
    )

METHOD_SCOPES = {"GET": Scope.READ, "HEAD": Scope.READ, "POST": Scope.WRITE, "DELETE": Scope.DELETE}


class HasApiKey(BasePermission):
    """Lets a key through that has the scope of the request's method."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Return True, or raise NotAllowedError with the missing scope."""
        scopes = getattr(view, "method_scopes", METHOD_SCOPES)
        scope = scopes.get(request.method or "")
        if scope is None or scope.value in caller_of(request).scopes:
            return True  # a method that no view has is answered with 405
        raise NotAllowedError(f"This API key lacks the scope '{scope.value}'.", code="missing_scope")
