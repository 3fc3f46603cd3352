"""What vendors' own libraries say about rendered lines. Each function raises AssertionError."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import pairwise
from typing import Any

import anthropic.types
import anthropic.types.message_create_params as anthropic_params
import botocore.session
from botocore.model import Shape
from botocore.validate import ParamValidator
from google.genai import types as google
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from typing_extensions import is_typeddict

#: What the user guide says that batches cannot do, though the operation can.
_NOT_IN_BATCHES = {"toolConfig", "outputConfig", "guardrailConfig"}
_DOCUMENT_NAME = re.compile(r"[a-zA-Z0-9()\[\]-]+( [a-zA-Z0-9()\[\]-]+)*")


@cache
def _converse_input() -> Shape:
    service = botocore.session.get_session().get_service_model("bedrock-runtime")
    return service.operation_model("Converse").input_shape


def check_converse(line: Mapping[str, Any]) -> None:
    """Check a line of an invocation job against botocore's model of the Converse operation."""
    assert line.keys() == {"recordId", "modelInput"}
    body = line["modelInput"]
    assert not body.keys() & _NOT_IN_BATCHES
    shape = _converse_input()
    given = _with_blobs({**body, "modelId": "any.model"}, shape, "")
    report = ParamValidator().validate(given, shape)
    assert not report.has_errors(), report.generate_report()
    roles = [message["role"] for message in body["messages"]]
    assert roles[0] == "user" and all(one != other for one, other in pairwise(roles))
    names = [block["document"]["name"] for block in _blocks(body) if "document" in block]
    assert len(names) == len(set(names))
    assert all(_DOCUMENT_NAME.fullmatch(name) for name in names), names
    for message in body["messages"]:
        assert all(block.get("text") != "" for block in message["content"])
        if any("document" in block for block in message["content"]):
            assert any("text" in block for block in message["content"])


def _blocks(body: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    return (block for message in body["messages"] for block in message["content"])


def _with_blobs(value: Any, shape: Any, path: str) -> Any:
    """Return a value as botocore's users write it; check what its validator leaves to the service."""
    for bound, is_kept in (("min", lambda n, b: n >= b), ("max", lambda n, b: n <= b)):
        if bound in shape.metadata and shape.type_name != "blob":
            measured = value if isinstance(value, int | float) else len(value)
            assert is_kept(measured, shape.metadata[bound]), f"{path}: {bound}"
    if shape.type_name == "structure" and not shape.is_document_type:
        return {
            name: _with_blobs(each, shape.members[name], f"{path}.{name}") for name, each in value.items()
        }
    if shape.type_name == "list":
        return [_with_blobs(each, shape.member, path) for each in value]
    if shape.type_name == "blob":
        return base64.b64decode(value, validate=True)
    if shape.type_name == "string" and shape.enum:
        assert value in shape.enum, f"{path}: {value}"
    return value


def check_gemini(line: Mapping[str, Any]) -> None:
    """Check a line of a batch prediction of Gemini against google-genai's types, which know all members."""
    assert line.keys() == {"request"}
    request = dict(line["request"])
    for each in request.pop("contents"):
        content = google.Content.model_validate(each)
        assert content.role in ("user", "model") and content.parts
    if "systemInstruction" in request:
        google.Content.model_validate(request.pop("systemInstruction"))
    google.GenerationConfig.model_validate(request.pop("generationConfig", {}))
    for tool in request.pop("tools", []):
        google.Tool.model_validate(tool)
    google.ToolConfig.model_validate(request.pop("toolConfig", {}))
    labels = request.pop("labels")
    assert 1 <= len(labels) <= 64
    for key, value in labels.items():
        assert re.fullmatch(r"[a-z][a-z0-9_-]{0,62}", key) and re.fullmatch(r"[a-z0-9_-]{1,63}", value)
    assert not request


@cache
def _anthropic_body() -> TypeAdapter[Any]:
    """Return what reads a body; the TypedDicts are told to refuse what they do not know."""
    for found in vars(anthropic.types).values():
        if is_typeddict(found):
            found.__pydantic_config__ = ConfigDict(extra="forbid", arbitrary_types_allowed=True)
    body = anthropic_params.MessageCreateParamsNonStreaming
    body.__pydantic_config__ = ConfigDict(extra="forbid", arbitrary_types_allowed=True)
    return TypeAdapter(body)


def check_claude(line: Mapping[str, Any]) -> None:
    """Check a line of a batch prediction of Claude against anthropic's types."""
    assert line.keys() == {"custom_id", "request"}
    body = dict(line["request"])
    assert body.pop("anthropic_version") == "vertex-2023-10-16"
    body["model"] = "claude"
    for name in ("temperature", "top_p"):  # left out of anthropic's types since new models know them no more
        assert 0 <= body.pop(name, 1) <= 1
    try:
        _read(_anthropic_body().validate_python(body))
    except ValidationError as exc:
        raise AssertionError(str(exc)) from exc
    roles = [message["role"] for message in body["messages"]]
    assert roles[0] == "user" and all(one != other for one, other in pairwise(roles))


def _read(value: Any) -> None:
    """Go through what a validation understood: it looks at iterables only when they are asked.

    A message may hold blocks of an earlier answer, whose types take any member, so these are not good enough.
    """
    assert not isinstance(value, BaseModel), f"not a parameter: {value!r}"
    if isinstance(value, Mapping):
        value = value.values()
    elif isinstance(value, str | bytes) or not hasattr(value, "__iter__"):
        return
    for each in value:
        _read(each)
