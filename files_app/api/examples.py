"""Examples in the OpenAPI document: what a call is answered, as the gateway answers it."""

from __future__ import annotations

from drf_spectacular.utils import OpenApiExample

_ID = "file-dfln54bxlpxiza3dtdlmeepcpw"
_FILE = {
    "id": _ID,
    "object": "file",
    "bytes": 12,
    "created_at": 1795459982,
    "expires_at": None,
    "filename": "a.txt",
    "purpose": "user_data",
    "status": "processed",
    "status_details": None,
    "provider": "openai-main",
    "sha256": "a948904f2f0f479b8f8197694b30184b0d2ed1c1cd2a1ec0fb85d299a192a447",
}

_PAGE = {"first_id": _ID, "last_id": _ID, "has_more": False}


def _answer(name: str, value: object, status: int = 200) -> OpenApiExample:
    return OpenApiExample(name, value=value, response_only=True, status_codes=[str(status)])


def _error(
    name: str,
    status: int,
    message: str,
    *,
    kind: str = "invalid_request_error",
    code: str | None = None,
    param: str | None = None,
) -> OpenApiExample:
    error = {"message": message, "type": kind, "param": param, "code": code}
    return _answer(name, {"error": error}, status)


_WRONG_KEY = _error(
    "A wrong key",
    401,
    "Incorrect API key provided. Send a valid key as 'Authorization: Bearer KEY'.",
    code="invalid_api_key",
)
_NO_FILE = _error("No such file", 404, f"No such File object: {_ID}", param="id")
_QUOTA = _error(
    "The quota is used up",
    403,
    "The organization's storage is full: 12 bytes more would not fit into its quota of 107,374,182,400 bytes "
    "(100 GiB), of which 107,374,182,400 bytes (100 GiB) are in use. Delete files or ask the operator for a "
    "larger quota.",
    kind="insufficient_quota",
    code="storage_quota_exceeded",
)
LIST = [
    _answer("A page", {"object": "list", "data": [_FILE], **_PAGE}),
    _WRONG_KEY,
]
CREATE = [_answer("A file", _FILE), _WRONG_KEY, _QUOTA]
RETRIEVE = [_answer("A file", _FILE), _NO_FILE]
DELETE = [_answer("Gone", {"id": _ID, "object": "file", "deleted": True}), _NO_FILE]
CONTENT = [_NO_FILE]
USAGE = [
    _answer(
        "Usage",
        {
            "object": "usage",
            "organization": "acme",
            "used_bytes": 52_428_800,
            "reserved_bytes": 0,
            "quota_bytes": 107_374_182_400,
            "max_file_bytes": 536_870_912,
            "file_count": 41,
        },
    ),
    _answer(
        "Usage of days",
        {
            "object": "list",
            "data": [
                {
                    "object": "usage.day",
                    "date": "2026-11-01",
                    "api_key": "backend",
                    "provider": None,
                    "purpose": None,
                    "gb_hours": 1258.2912,
                    "adopted_gb_hours": 0.0,
                    "bytes_in": 52_428_800,
                    "bytes_out": 157_286_400,
                    "requests": 214,
                    "files": 12,
                }
            ],
            "has_more": False,
        },
    ),
]
