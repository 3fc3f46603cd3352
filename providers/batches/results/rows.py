"""Reads a row of any job that an object store's account can have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from providers.batches.results import bedrock, vertex
from providers.batches.results.answers import Failure, OpenAIBody, Row, UnreadableRowError
from providers.batches.results.failures import failure
from providers.batches.results.values import mapping, text


def read_row(row: Mapping[str, Any]) -> Row:
    """Return what a row says, whatever its form. Raises UnreadableRowError."""
    if _is_openai(row):
        return _read_openai(row)
    if bedrock.is_row(row):
        return bedrock.read_row(row)
    if vertex.is_row(row) or "response" in row or "status" in row:
        return vertex.read_row(row)
    raise UnreadableRowError(f"has an unknown form ({', '.join(sorted(row))[:200]})")


def _is_openai(row: Mapping[str, Any]) -> bool:
    """Whether a row is one of OpenAI's output lines, as Bedrock's OpenAI-compatible jobs write them."""
    if not isinstance(row.get("custom_id"), str):
        return False
    response = row.get("response")
    return "status_code" in mapping(response) or (response is None and bool(row.get("error")))


def _read_openai(row: Mapping[str, Any]) -> Row:
    response, error = mapping(row.get("response")), mapping(row.get("error"))
    body, status = mapping(response.get("body")), response.get("status_code")
    request_id = text(response.get("request_id"))
    if not isinstance(status, int) or isinstance(status, bool):
        status = None
    is_good = status is not None and 200 <= status < 300 and not error
    if is_good and body:
        return Row(row["custom_id"], OpenAIBody(body), request_id)
    said = error or mapping(body.get("error"))
    found = failure(text(said.get("message")) or text(row.get("error")), None if is_good else status)
    code = text(error.get("code")) or found.code
    return Row(row["custom_id"], Failure(code, found.message, found.status_code), request_id)
