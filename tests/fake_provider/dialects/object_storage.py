"""The storage hosts behind signed URLs: no API credential is welcome there, and errors are XML.

An object store refuses a request that carries both a signature and an Authorization header; so does this.
"""

from __future__ import annotations

from ..wire import Answer, RefusedError, text_answer
from .base import Request


def storage_error(status: int, code: str) -> Answer:
    xml = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code></Error>'
    return text_answer(xml, status, "application/xml")


def check_signed(request: Request, *, for_upload: bool) -> None:
    """Refuse what an object store refuses: foreign credentials, no signature, a body of unknown length."""
    if "authorization" in request.headers:
        raise RefusedError(storage_error(400, "InvalidArgument"))
    if not request.argument("sig"):
        raise RefusedError(storage_error(403, "AccessDenied"))
    if for_upload and "content-length" not in request.headers:
        raise RefusedError(storage_error(411, "MissingContentLength"))


def no_such_key() -> RefusedError:
    return RefusedError(storage_error(404, "NoSuchKey"))
