"""Targets that take OpenAI's own words: models of OpenAI at Bedrock, in either kind of job."""

from __future__ import annotations

from typing import Final

from providers.batches.request.chat import NEUTRAL_FIELDS, ChatRequest, read_chat
from providers.batches.request.fields import Notes, UnfitLineError
from providers.batches.request.media import Media
from providers.batches.targets.converse import check_no_format, check_no_tools
from providers.objects import JSONObject, JSONValue

_EFFORTS: Final = ("low", "medium", "high")


def invoke_line(custom_id: str, body: JSONObject, model: str, notes: Notes) -> JSONObject:
    """Return a line of an invocation job whose model takes OpenAI's body, which names no model there.

    docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-openai.html, read 2026-11-26.
    """
    request = read_chat(body, notes)
    check_no_tools(request)
    check_no_format(request)
    _check_media(request)
    if request.reasoning_effort not in (None, *_EFFORTS):
        raise UnfitLineError(f"'body.reasoning_effort' must be {' or '.join(_EFFORTS)} here")
    members: dict[str, JSONValue] = {
        name: value
        for name, value in body.items()
        if value is not None and name not in NEUTRAL_FIELDS and name not in ("model", "tools", "stream")
    }
    if "max_tokens" in members:  # the older name, which these models do not read
        members["max_completion_tokens"] = members.pop("max_tokens")
    return {"recordId": custom_id, "modelInput": members}


def kept_line(custom_id: str, body: JSONObject, model: str, _notes: Notes) -> JSONObject:
    """Return OpenAI's line with the provider's name of the model.

    docs.aws.amazon.com/bedrock/latest/userguide/inference-openai-batch.html, read 2026-11-26.
    """
    if body.get("stream"):
        raise UnfitLineError("'body.stream': a batch does not stream: leave it out")
    return {
        "custom_id": custom_id,
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": {**body, "model": model},
    }


def _check_media(request: ChatRequest) -> None:
    for part in request.parts:
        if isinstance(part, Media) and part.uri:
            raise part.refused("a job fetches nothing from elsewhere: send a data URL")
