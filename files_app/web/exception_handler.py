"""The one place where an exception becomes an answer of the API."""

from __future__ import annotations

from typing import Any

import structlog
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db import DatabaseError, InterfaceError, InternalError, OperationalError
from django.http import Http404, JsonResponse
from rest_framework import exceptions as drf

from files_app.exceptions import BodyIncompleteError, GatewayError
from files_app.services.index import writability
from files_app.services.index.transactions import DAMAGED_FIX, is_damaged
from files_app.web import errors
from files_app.web.errors import ErrorAnswer
from providers.exceptions import ProviderConfigurationError, ProviderError

log = structlog.get_logger(__name__)


def exception_handler(exc: Exception, context: dict[str, Any]) -> JsonResponse:
    """Return the envelope for any exception that a view raised."""
    return answer_for(exc).response()


def answer_for(exc: Exception) -> ErrorAnswer:
    """Return the answer to an exception, and log what an operator has to know."""
    match exc:
        case BodyIncompleteError():
            log.info("client_disconnected")
            return errors.answer_for_gateway_error(exc)
        case GatewayError():
            return errors.answer_for_gateway_error(exc)
        case ProviderError():
            log.warning(
                "provider_error",
                kind=type(exc).__name__,
                provider=exc.provider,
                operation=exc.operation,
                status=exc.status_code,
                provider_request_id=exc.request_id,
                error=exc.message,
            )
            return errors.answer_for_provider_error(exc)
        case ProviderConfigurationError():
            log.error("provider_configuration_error", error=str(exc))
            return errors.answer_for_configuration_error(exc)
        case OperationalError() | InterfaceError():
            log.error("database_unavailable", kind=type(exc).__name__, error=str(exc)[:500])
            return errors.DATABASE_FULL if writability.is_full(exc) else errors.DATABASE_UNAVAILABLE
        case InternalError() if writability.is_read_only(exc):
            log.error("database_read_only", error=str(exc)[:500])
            return errors.DATABASE_UNAVAILABLE
        case DatabaseError() if is_damaged(exc):
            log.error("database_damaged", error=str(exc)[:500], hint=DAMAGED_FIX)
            return errors.DATABASE_UNAVAILABLE
        case Http404():
            return ErrorAnswer(404, "Not found.")
        case PermissionDenied():
            return ErrorAnswer(403, "This is not allowed.", "permission_error", code="permission_denied")
        case SuspiciousOperation():
            return errors.MALFORMED_REQUEST
        case drf.APIException():
            return _from_drf(exc)
        case _:
            log.error("unhandled_exception", exc_info=exc)
            return errors.SERVER_ERROR


def _from_drf(exc: drf.APIException) -> ErrorAnswer:
    message, param = _first_problem(exc.detail)
    kind = "server_error" if exc.status_code >= 500 else "invalid_request_error"
    return ErrorAnswer(exc.status_code, message, kind, param, str(exc.default_code))


def _first_problem(detail: Any) -> tuple[str, str | None]:
    """Return the first message of a DRF error and the field that it is about."""
    if isinstance(detail, dict) and detail:
        field, problems = next(iter(detail.items()))
        message, inner = _first_problem(problems)
        return message, inner or str(field)
    if isinstance(detail, list) and detail:
        return _first_problem(detail[0])
    return str(detail), None
