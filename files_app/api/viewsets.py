"""The Files API: policies as attributes, a service call, an answer. Nothing here names a driver."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property, partial
from typing import Any

import msgspec
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle
from rest_framework.viewsets import GenericViewSet

from files_app.api import parameters, schema
from files_app.api.answers import json_answer
from files_app.api.authentication import caller_of
from files_app.api.pagination import FilePagination
from files_app.api.throttles import RequestRate, UploadRate, counted_at_end
from files_app.models import File, ProviderAccount
from files_app.observability import context
from files_app.services.accounts.selection import select_account
from files_app.services.deletes import outbox
from files_app.services.index.file_objects import FileObject, ListedFile, file_object
from files_app.services.reading import downloads, native
from files_app.services.reading.listing import FileSelection
from files_app.services.tenants import throttle
from files_app.services.uploads import dry_run, idempotency
from files_app.services.uploads.begin import upload_file
from files_app.services.uploads.request import UploadRequest
from files_app.services.upstream import schedule
from files_app.services.upstream.retrieve import get_deletable_file, get_file, get_shown_file
from files_app.streams.form import FormReader
from files_app.web import content
from files_app.web.bodies import body_source
from files_app.web.errors import ErrorAnswer
from files_app.web.representation import dry_run_object

SYNC_HEADER = "x-files-gateway-sync"


class FileViewSet(GenericViewSet[File]):
    """The files of the caller's organization."""

    lookup_url_kwarg = "file_id"
    pagination_class = FilePagination
    form_reader = FormReader
    dialect = ""

    def perform_authentication(self, request: Request) -> None:
        """Find out who calls as REST framework does, which first asks whether it has, and fails at that."""
        for authenticator in request.authenticators or ():
            if found := authenticator.authenticate(request):
                request.user, request.auth = found  # type: ignore[assignment]  # a Caller is no User

    def get_throttles(self) -> list[BaseThrottle]:
        """Limit all requests, and besides how many uploads begin."""
        return [RequestRate(), UploadRate()] if self.action == "create" else [RequestRate()]

    @schema.list_files
    def list(self, request: Request) -> HttpResponse:
        """List the organization's files."""
        self.check_query(request)
        named = self.named_account
        sync = "" if named is None else schedule.sync_before_list(named, caller=caller_of(request))
        page = self.paginate_queryset(self.selection(named)) or ()
        response: HttpResponse = self.get_paginated_response([self.represent(file) for file in page])
        if sync:
            response.headers[SYNC_HEADER] = sync
        return response

    @schema.create_file
    def create(self, request: Request) -> HttpResponse:
        """Upload a file."""
        upload = UploadRequest(
            caller=caller_of(request),
            source=body_source(request, self.form_reader),
            account_name=parameters.provider_name(request),
            metadata=parameters.metadata(request),
            dialect=self.dialect,
            sdk_retry_count=parameters.sdk_retry_count(request),
            placement=parameters.placement(request),
            model=parameters.provider_model(request),
        )
        key = request.META.get("HTTP_IDEMPOTENCY_KEY")
        validate_only = parameters.validate_only(request.query_params)
        with throttle.upload_slot(upload.caller), counted_at_end(upload):
            if validate_only:
                return json_answer(dry_run_object(dry_run.check_upload(upload)))
            if key is not None:
                return json_answer(idempotency.upload_once(upload, key, self.represent_created))
            return json_answer(self.represent_created(upload_file(upload)))

    @schema.retrieve_file
    def retrieve(self, request: Request, file_id: str) -> HttpResponse:
        """Retrieve a file object."""
        named = parameters.provider_name(request)
        file = get_shown_file(caller_of(request), file_id, named)
        context.note_file(file.account.pk, file.purpose)
        return json_answer(self.represent(file))

    @schema.delete_file
    def destroy(self, request: Request, file_id: str) -> HttpResponse:
        """Delete a file."""
        named = parameters.provider_name(request)
        file = get_deletable_file(caller_of(request), file_id, named)
        context.note_file(file.account_id, file.purpose)
        outbox.delete_file(file, caller=caller_of(request))
        return json_answer(self.represent_deleted(file))

    @schema.download_file
    @action(detail=True)
    def content(self, request: Request, file_id: str) -> HttpResponseBase:
        """Download a file's content."""
        file, open_content = self.get_content()
        if content.is_unmodified(request, file):
            return content.unmodified(file)
        byte_range = content.requested_range(request, file)
        if byte_range is not None and not content.is_satisfiable(byte_range, file):
            if downloads.require_content(file).capabilities.ranges:
                return self.refuse(content.range_not_satisfiable(file))
            byte_range = None  # whoever has no ranges ignores them
        downloads.require_content(file)
        throttle.count_bytes(caller_of(request), content.announced_bytes(file, byte_range))
        opened = open_content(caller=caller_of(request), byte_range=byte_range)
        return content.content_response(file, opened)

    @schema.describe_content
    def describe_content(self, request: Request, file_id: str) -> HttpResponse:
        """Answer what a download would, without asking the provider."""
        file, _ = self.get_content()
        can = downloads.require_content(file).capabilities
        if content.is_unmodified(request, file):
            return content.unmodified(file)
        return content.description(file, can)

    # -- what another dialect says otherwise -----------------------------------------------------------

    def check_query(self, request: Request) -> None:
        """Refuse a list's parameters that make no sense. Raises InvalidRequestError."""
        parameters.refuse_unknown(request.query_params)

    def represent(self, file: File | ListedFile) -> FileObject | Mapping[str, Any]:
        """Return a file as clients see it."""
        return file_object(file)

    def represent_created(self, file: File) -> dict[str, Any]:
        """Return the answer to an upload."""
        context.annotate(file_id=file.file_id)
        context.note_file(file.account_id, file.purpose)
        return msgspec.to_builtins(self.represent(file))  # type: ignore[no-any-return]

    def represent_deleted(self, file: File) -> Mapping[str, Any]:
        """Return the answer to a delete."""
        return {"id": file.file_id, "object": "file", "deleted": True}

    def refuse(self, answer: ErrorAnswer) -> HttpResponse:
        """Return an error in the dialect's envelope."""
        return answer.response()

    # -- which files -----------------------------------------------------------------------------------

    def selection(self, named: ProviderAccount | None) -> Any:
        """Return which files a list is of; a FileSelection. Raises InvalidRequestError."""
        return FileSelection(
            caller_of(self.request).organization_id,
            None if named is None else named.pk,
            parameters.filters(self.request),
        )

    def get_object(self) -> File:
        """Return the file of the address, adopted from its provider where that is safe."""
        named = parameters.provider_name(self.request)
        file = get_file(caller_of(self.request), self.kwargs["file_id"], named)
        context.note_file(file.account_id, file.purpose)
        return file

    def get_content(self) -> tuple[File, Callable[..., downloads.OpenedFile]]:
        """Return the file of the address as its content is asked for, and what opens it.

        Raises InvalidRequestError, and TooEarlyError for what is not there yet.
        """
        file = self.get_object()
        if parameters.wants_native(self.request.query_params) and file.result_part:
            return native.as_native(file), partial(native.open_native, file)
        downloads.require_ready(file)
        return file, partial(downloads.open_file, file)

    @cached_property
    def named_account(self) -> ProviderAccount | None:
        """The account that the request names. Raises InvalidRequestError for one that is not there."""
        name = parameters.provider_name(self.request)
        return None if name is None else select_account(caller_of(self.request).organization_id, name)
