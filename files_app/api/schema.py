"""What the OpenAPI document says of each operation; the views carry these as decorators.

`manage.py spectacular --format openapi-json --file docs/openapi.json` writes the committed copy.
"""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import (
    OpenApiParameter,
    OpenApiResponse,
    PolymorphicProxySerializer,
    extend_schema,
)

from files_app.api import deletion_serializers, examples, serializers
from files_app.services.accounts.selection import MODEL_HEADER, PROVIDER_HEADER
from providers.objects import FILE_STATUSES, INPUT_PURPOSES

Endpoint = tuple[str, str, str, Any]


class ApiKeySchemes(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Describes where the API key may stand."""

    target_class = "files_app.api.authentication.ApiKeyAuthentication"
    name = ["apiKey", "azureApiKey", "anthropicApiKey"]

    def get_security_requirement(self, auto_schema: AutoSchema) -> list[dict[str, list[str]]]:
        """Return that one of the schemes is enough."""
        return [{scheme: []} for scheme in self.name]

    def get_security_definition(self, auto_schema: AutoSchema) -> list[dict[str, str]]:
        """Return the schemes."""
        return [
            {"type": "http", "scheme": "bearer", "description": "An API key of the gateway."},
            {
                "type": "apiKey",
                "in": "header",
                "name": "api-key",
                "description": "As Azure's clients send it.",
            },
            {"type": "apiKey", "in": "header", "name": "x-api-key", "description": "As Anthropic's do."},
        ]


def select_endpoints(endpoints: list[Endpoint], **kwargs: Any) -> list[Endpoint]:
    """Keep each operation once, under /v1 and without the optional slash, and add HEAD of a content."""
    kept = [
        (path.rstrip("/"), regex, method, view)
        for path, regex, method, view in endpoints
        if path.startswith("/v1/")
    ]
    heads = [(path, regex, "HEAD", view) for path, regex, _, view in kept if path.endswith("/content")]
    return kept + heads


def tidy(result: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
    """Drop the generator's own marks from the document."""
    _drop(result, "x-spec-enum-id")
    return result


def _drop(node: Any, key: str) -> None:
    if isinstance(node, dict):
        node.pop(key, None)
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        _drop(child, key)


def _header(name: str, description: str, **kwargs: Any) -> OpenApiParameter:
    return OpenApiParameter(name, str, OpenApiParameter.HEADER, description=description, **kwargs)


_REQUEST_ID = _header("x-request-id", "Id of this request, to name it to the operator.", response=True)
_PROVIDER = _header(
    PROVIDER_HEADER, "Name of a provider account. Without it: the default account, or where the file is."
)
_RETRY_AFTER = _header("Retry-After", "Seconds, at most 120.", response=[409, 429, 502, 503, 504])
_SHOULD_RETRY = _header(
    "x-should-retry",
    "What OpenAI's SDKs obey: whether the same request may work later.",
    enum=["true", "false"],
    response=[400, 401, 403, 413, 429, 502],
)
_FILE_ID = OpenApiParameter(
    "file_id",
    str,
    OpenApiParameter.PATH,
    description="The file's id, or its s3:// or gs:// address, percent-encoded.",
)
_FORMAT = OpenApiParameter(
    "format",
    str,
    enum=["openai", "native"],
    description="`native`: of a batch result, what the provider's job wrote instead of OpenAI's lines.",
)
_ANSWER_HEADERS = (_REQUEST_ID, _RETRY_AFTER, _SHOULD_RETRY)
_EXPIRY_SECONDS = {
    "type": "integer",
    "description": "3,600 to 2,592,000, or the account's own bounds: `GET /v1/providers` lists them.",
}
_UPLOAD_FORM = {
    "type": "object",
    "properties": {
        "file": {"type": "string", "format": "binary"},
        "purpose": {
            "type": "string",
            "description": f"{', '.join(INPUT_PURPOSES)}; each account takes what `GET /v1/providers` lists.",
        },
        "expires_after[anchor]": {"type": "string", "enum": ["created_at"]},
        "expires_after[seconds]": _EXPIRY_SECONDS,
        "expires_after": {
            "type": "object",
            "description": "The two fields above as one part of JSON.",
            "properties": {
                "anchor": {"type": "string", "enum": ["created_at"]},
                "seconds": _EXPIRY_SECONDS,
            },
            "required": ["anchor", "seconds"],
            "additionalProperties": False,
        },
    },
    "required": ["file", "purpose"],
}
_ERRORS = {
    304: "Not modified: If-None-Match names the content's ETag.",
    400: "The request can never work as it is, or the provider has no such operation.",
    401: "No valid API key.",
    403: "The key lacks a scope, the account is switched off, or the quota is used up.",
    404: "The organization has no such file.",
    409: "The first request with this Idempotency-Key is still running, the content is still being made, or "
    "the file is on legal hold.",
    413: "The file is over a limit.",
    416: "No byte of the file is in the range.",
    422: "The Idempotency-Key was used for another request.",
    429: "The provider asks to slow down; see Retry-After.",
    500: "The gateway failed.",
    502: "The provider failed, or refused the account's credentials.",
    503: "The gateway cannot serve this now; see Retry-After.",
    504: "The provider did not answer in time.",
}


def _errors(*statuses: int) -> dict[int, OpenApiResponse]:
    everywhere = (401, 403, 500, 503)
    return {
        status: OpenApiResponse(serializers.ErrorSerializer, _ERRORS[status])
        for status in sorted({*everywhere, *statuses})
    }


_AT_PROVIDER = (400, 404, 429, 502, 504)

list_files = extend_schema(
    operation_id="listFiles",
    summary="List files",
    examples=examples.LIST,
    tags=["files"],
    parameters=[
        _PROVIDER,
        OpenApiParameter("after", str, description="Id of the file behind which the page starts."),
        OpenApiParameter("limit", {"type": "integer", "minimum": 1, "maximum": 10_000, "default": 10_000}),
        OpenApiParameter("order", str, enum=["asc", "desc"], default="desc", description="By creation."),
        OpenApiParameter("purpose", str),
        OpenApiParameter("provider", str, description="Name of a provider account; asks no provider."),
        OpenApiParameter("status", str, enum=FILE_STATUSES),
        OpenApiParameter("filename", str, description="The whole name."),
        OpenApiParameter("created_after", int, description="Unix seconds, exclusive."),
        OpenApiParameter("created_before", int, description="Unix seconds, exclusive."),
        OpenApiParameter(
            "metadata",
            {"type": "object", "additionalProperties": {"type": "string"}},
            style="deepObject",
            explode=True,
            description="`metadata[team]=blue`: files whose metadata has this value.",
        ),
        *_ANSWER_HEADERS,
        _header(
            "x-files-gateway-sync",
            f"Only with {PROVIDER_HEADER}: whether the provider was asked recently enough.",
            enum=["fresh", "stale"],
            response=[200],
        ),
    ],
    responses={200: OpenApiResponse(serializers.FileListSerializer, "A page of files."), **_errors(400)},
)

_UPLOAD_ANSWER = PolymorphicProxySerializer(
    component_name="UploadAnswer",
    serializers=[serializers.FileSerializer, serializers.FileValidationSerializer],
    resource_type_field_name=None,
)

create_file = extend_schema(
    operation_id="createFile",
    summary="Upload a file",
    examples=examples.CREATE,
    tags=["files"],
    parameters=[
        _PROVIDER,
        _header("x-tfy-metadata", "A JSON object of up to 16 strings, kept with the file."),
        _header("Idempotency-Key", "The same key with the same request gets the same answer for a day."),
        _header(MODEL_HEADER, "Batch lines that are rendered for jobs: fills in or replaces their model."),
        OpenApiParameter(
            "validate_only",
            bool,
            description="`true`: answer what would happen, or what is wrong, and store nothing.",
        ),
        _header("x-tfy-aws-s3-bucket", "Another bucket that a `bedrock` account allows."),
        _header("x-tfy-vertex-storage-bucket-name", "Another bucket that a `vertex` account allows."),
        _header("x-tfy-vertex-region", "The region of a `vertex` account; another one is refused."),
        *_ANSWER_HEADERS,
    ],
    request={"multipart/form-data": _UPLOAD_FORM},
    responses={
        200: OpenApiResponse(_UPLOAD_ANSWER, "The file; with `validate_only`, what it would be."),
        **_errors(*_AT_PROVIDER, 409, 413, 422),
    },
)

retrieve_file = extend_schema(
    operation_id="retrieveFile",
    summary="Retrieve a file",
    examples=examples.RETRIEVE,
    tags=["files"],
    parameters=[_FILE_ID, _PROVIDER, *_ANSWER_HEADERS],
    responses={200: OpenApiResponse(serializers.FileSerializer, "The file."), **_errors(*_AT_PROVIDER)},
)

delete_file = extend_schema(
    operation_id="deleteFile",
    summary="Delete a file",
    examples=examples.DELETE,
    tags=["files"],
    parameters=[_FILE_ID, _PROVIDER, *_ANSWER_HEADERS],
    responses={
        200: OpenApiResponse(serializers.FileDeletedSerializer, "Gone here; the provider follows."),
        **_errors(*_AT_PROVIDER, 409),
    },
)

_CONTENT_HEADERS = [
    _header(
        "Accept-Ranges",
        "Whether the file's provider gives out parts of it.",
        enum=["bytes", "none"],
        response=[200, 206],
    ),
    _header("Content-Disposition", "`attachment` with the file's name.", response=[200, 206]),
    _header("ETag", "The content's sha256 in quotes, where it is known.", response=[200, 206]),
    *_ANSWER_HEADERS,
]

download_file = extend_schema(
    operation_id="downloadFile",
    summary="Download a file's content",
    examples=examples.CONTENT,
    tags=["files"],
    parameters=[
        _FILE_ID,
        _PROVIDER,
        _FORMAT,
        _header("Range", "One range of bytes. Honoured where the provider can, else the whole file comes."),
        _header("If-Range", "ETag that the range is of; with another one the whole file comes."),
        _header("If-None-Match", "ETags that the client has already."),
        _header("Content-Range", "The part that is sent.", response=[206]),
        *_CONTENT_HEADERS,
    ],
    responses={
        (200, "application/octet-stream"): OpenApiResponse(OpenApiTypes.BINARY, "The file's bytes."),
        (206, "application/octet-stream"): OpenApiResponse(OpenApiTypes.BINARY, "A part of them."),
        304: OpenApiResponse(None, _ERRORS[304]),
        **_errors(*_AT_PROVIDER, 409, 416),
    },
)

describe_content = extend_schema(
    operation_id="describeContent",
    summary="What a download would answer",
    tags=["files"],
    parameters=[
        _FILE_ID,
        _PROVIDER,
        _FORMAT,
        _header("If-None-Match", "ETags that the client has already."),
        *_CONTENT_HEADERS,
    ],
    responses={
        200: OpenApiResponse(None, "The headers of a download."),
        **{
            status: OpenApiResponse(None, _ERRORS[status])
            for status in (304, 400, 401, 403, 404, 409, 500, 503)
        },
    },
)

list_providers = extend_schema(
    operation_id="listProviders",
    summary="List provider accounts",
    tags=["providers"],
    parameters=[*_ANSWER_HEADERS],
    responses={200: OpenApiResponse(serializers.ProviderListSerializer, "The accounts."), **_errors()},
)

retrieve_usage = extend_schema(
    operation_id="retrieveUsage",
    summary="Retrieve usage and quota",
    description="With `start` or `end`: what was used on those days, for bills.",
    examples=examples.USAGE,
    tags=["usage"],
    parameters=[
        OpenApiParameter("start", OpenApiTypes.DATE, description="First day (UTC); else the month of `end`."),
        OpenApiParameter("end", OpenApiTypes.DATE, description="Last day, included; else today."),
        OpenApiParameter(
            "group_by",
            str,
            description="Some of `api_key`, `provider`, `purpose`, with commas between; always by day.",
        ),
        *_ANSWER_HEADERS,
    ],
    responses={
        200: OpenApiResponse(
            PolymorphicProxySerializer(
                "UsageAnswer",
                [serializers.UsageSerializer, serializers.UsedListSerializer],
                resource_type_field_name=None,
            ),
            "What the organization holds and may hold, or what it used on each day.",
        ),
        **_errors(),
    },
)

_DELETION_ID = OpenApiParameter("deletion_id", str, OpenApiParameter.PATH, description="Id of the deletion.")
_DELETION = OpenApiResponse(deletion_serializers.DeletionSerializer, "The deletion.")

create_deletion = extend_schema(
    operation_id="createDeletion",
    summary="Delete all files that match",
    description="A worker deletes them one by one: `GET` says how far it is. Needs the scope `files:delete`.",
    tags=["deletions"],
    parameters=[
        _PROVIDER,
        _header("Idempotency-Key", "The same key with the same filter gets the same deletion."),
        *_ANSWER_HEADERS,
    ],
    request=deletion_serializers.DeletionRequestSerializer,
    responses={200: _DELETION, **_errors(400, 409, 413, 422, 429)},
)

retrieve_deletion = extend_schema(
    operation_id="retrieveDeletion",
    summary="Retrieve a deletion",
    tags=["deletions"],
    parameters=[_DELETION_ID, *_ANSWER_HEADERS],
    responses={200: _DELETION, **_errors(404)},
)

cancel_deletion = extend_schema(
    operation_id="cancelDeletion",
    summary="Cancel a deletion",
    tags=["deletions"],
    parameters=[_DELETION_ID, *_ANSWER_HEADERS],
    request=None,
    responses={200: _DELETION, **_errors(400, 404)},
)

report_deletion = extend_schema(
    operation_id="reportDeletion",
    summary="What became of each file",
    description="A line of JSON for each file: `id`, `bytes`, `result` (`deleted`, `refused`, `waiting`) and "
    "`detail`. There are as many lines as the deletion's `counts.files` says.",
    tags=["deletions"],
    parameters=[_DELETION_ID, *_ANSWER_HEADERS],
    responses={
        (200, "application/x-ndjson"): OpenApiResponse(OpenApiTypes.STR, "The lines."),
        **_errors(404),
    },
)
