"""Upload in the browser: a page to drop files on, and the address that takes their bytes.

The file is the whole body of a PUT: for a POST, Django's CSRF check would read it into temporary files
before the view runs.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, JsonResponse
from django.template.response import TemplateResponse
from django.urls import reverse

from files_app.admin.pages import page
from files_app.admin.requests import caller_of, reach_for
from files_app.exceptions import InvalidRequestError
from files_app.models import Organization, ProviderAccount
from files_app.observability import context
from files_app.services.accounts.drivers import driver_for
from files_app.services.accounts.selection import usable_accounts
from files_app.services.index.limits import limits_of
from files_app.services.tenants import throttle
from files_app.services.uploads.begin import upload_file
from files_app.services.uploads.dry_run import check_upload
from files_app.services.uploads.request import UploadRequest
from files_app.streams.checks import required_extensions
from files_app.streams.raw import RawSource
from files_app.web.bodies import body_reader, content_length
from files_app.web.exception_handler import answer_for
from files_app.web.representation import dry_run_object
from providers.exceptions import ProviderConfigurationError
from providers.objects import INPUT_PURPOSES, Capabilities, Operation

MAX_OFFERED_ORGANIZATIONS = 200


def upload_page(request: HttpRequest) -> TemplateResponse:
    """Show where files can be dropped."""
    _require_permission(request)
    organizations = reach_for(request).organizations().filter(is_active=True)[:MAX_OFFERED_ORGANIZATIONS]
    targets = [_target(organization) for organization in organizations]
    context = {
        "targets": targets,
        "purposes": INPUT_PURPOSES,
        "has_targets": any(target["accounts"] for target in targets),
        "chosen_organization": request.GET.get("organization", ""),
        "max_bytes": settings.MAX_FILE_BYTES,
    }
    return page(request, "upload.html", "Upload files", context)


def _target(organization: Organization) -> dict[str, Any]:
    return {
        "id": organization.pk,
        "name": organization.name,
        "max_bytes": organization.max_file_bytes,
        "free_bytes": organization.free_bytes,
        "accounts": [target for account in usable_accounts(organization) if (target := _account(account))],
    }


def _account(account: ProviderAccount) -> dict[str, Any] | None:
    """Return what the page has to know of an account; None for one that takes no uploads."""
    try:
        capabilities = driver_for(account).capabilities
    except ProviderConfigurationError:
        return None
    if Operation.CREATE not in capabilities.operations:
        return None
    return {
        "name": account.name,
        "driver": account.driver,
        "is_default": account.is_default,
        "purposes": [_purpose(name, capabilities) for name in sorted(capabilities.purposes)],
    }


def _purpose(name: str, capabilities: Capabilities) -> dict[str, Any]:
    """Return what can be known of a file before it is sent; `max_bytes` None for no limit of its own."""
    limits = [capabilities.max_bytes_for(name), settings.BATCH_MAX_FILE_BYTES if name == "batch" else None]
    return {
        "name": name,
        "max_bytes": min((limit for limit in limits if limit is not None), default=None),
        "extensions": required_extensions(name, capabilities),
    }


def receive(request: HttpRequest) -> JsonResponse:
    """Stream the body of a PUT to the provider and answer with the file's page, or with what went wrong.

    With `validate_only` the body is checked and goes nowhere; the answer is the API's for a dry run.
    """
    if request.method != "PUT":
        return JsonResponse({"error": "Send the file with PUT."}, status=405, headers={"Allow": "PUT"})
    _require_permission(request)
    try:
        upload = _upload_request(request)
        throttle.count_upload(upload.caller, upload.source.length)
        if request.GET.get("validate_only") == "true":
            return JsonResponse(dry_run_object(check_upload(upload)))
        file = upload_file(upload)
    except Exception as exc:  # every refusal of the API has its words there
        answer = answer_for(exc)
        return JsonResponse({"error": answer.message}, status=answer.status)
    link = reverse("admin:files_app_file_change", args=[file.pk])
    return JsonResponse({"id": file.file_id, "filename": file.filename, "bytes": file.bytes, "link": link})


def _require_permission(request: HttpRequest) -> None:
    if not request.user.has_perm("files_app.add_file"):
        raise PermissionDenied
    context.note_known()


def _upload_request(request: HttpRequest) -> UploadRequest:
    organization_id = _number(request, "organization")
    offered = reach_for(request).organizations().filter(is_active=True)
    organization = None if organization_id is None else offered.filter(pk=organization_id).first()
    if organization is None:
        raise InvalidRequestError("Choose an organization.", param="organization")
    return UploadRequest(
        caller=replace(caller_of(request, organization.pk), limits=limits_of(organization)),
        source=RawSource(
            read=body_reader(request),
            length=_length(request),
            filename=request.GET.get("filename", ""),
            content_type=request.META.get("CONTENT_TYPE", ""),
            purpose=request.GET.get("purpose", ""),
            expires_after_seconds=_number(request, "expires_after_seconds"),
            chunk_bytes=settings.UPLOAD_CHUNK_BYTES,
        ),
        account_name=request.GET.get("account") or None,
        model=request.GET.get("model", "").strip() or None,
    )


def _number(request: HttpRequest, name: str) -> int | None:
    text = request.GET.get(name, "")
    return int(text) if text.isdecimal() and len(text) < 19 else None


def _length(request: HttpRequest) -> int:
    length = content_length(request)
    if length is None:
        raise InvalidRequestError("The size of the file has to be known.", param="Content-Length")
    return length
