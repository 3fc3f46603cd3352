"""The messages of a chat request, read into turns of two sides."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from providers.batches.request.fields import UnfitLineError, object_in, objects_in, only, shown, text_in
from providers.batches.request.media import Media, media_from_base64, media_from_url
from providers.objects import JSONObject, JSONValue


@dataclass(frozen=True, slots=True)
class ToolCall:
    """What a model asked for in an earlier turn; `arguments` is JSON as text."""

    id: str
    name: str
    arguments: str

    def parsed(self) -> JSONObject:
        """Return the arguments as an object. Raises UnfitLineError."""
        try:
            arguments = json.loads(self.arguments or "{}")
        except ValueError:
            arguments = None
        if not isinstance(arguments, dict):
            raise UnfitLineError(f"the arguments of the call {shown(self.id)} are not a JSON object")
        return arguments


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool answered to a call."""

    call_id: str
    text: str


Part: TypeAlias = str | Media | ToolCall | ToolResult


@dataclass(slots=True)
class Turn:
    """What one side says, of one message or of several behind each other; `where` is the first one."""

    role: Literal["user", "assistant"]
    parts: list[Part]
    where: str


@dataclass(slots=True)
class Conversation:
    """What the system says, and then both sides in turns."""

    system: list[str] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)


def read_messages(value: JSONValue) -> Conversation:
    """Return what messages say. Raises UnfitLineError."""
    said = Conversation()
    for at, message in enumerate(objects_in(value, "body.messages")):
        _read_message(said, message, f"body.messages[{at}]")
    return said


def _read_message(said: Conversation, message: JSONObject, where: str) -> None:
    role = message.get("role")
    if role in ("system", "developer"):
        if said.turns:
            raise UnfitLineError(f"'{where}' is a {role} message behind others: put it first")
        only(message, ("role", "content"), where)
        said.system += _texts(message.get("content"), where)
    elif role == "user":
        only(message, ("role", "content"), where)
        _add(said, "user", _parts(message.get("content"), where), where)
    elif role == "assistant":
        _add(said, "assistant", _assistant_parts(message, where), where)
    elif role == "tool":
        only(message, ("role", "content", "tool_call_id"), where)
        call_id = text_in(message, "tool_call_id", f"{where}.tool_call_id")
        content = message.get("content")
        text = "\n".join(_texts(content, where)) if content != "" else ""
        _add(said, "user", [ToolResult(call_id, text)], where)
    else:
        raise UnfitLineError(f"'{where}.role' must be system, developer, user, assistant or tool")


def _add(said: Conversation, role: Literal["user", "assistant"], parts: list[Part], where: str) -> None:
    """Add to the turn in hand, since targets want the sides to take turns."""
    if said.turns and said.turns[-1].role == role:
        said.turns[-1].parts += parts
        return
    if not said.turns and role == "assistant":
        raise UnfitLineError(f"'{where}' begins with the assistant: put a user message before it")
    said.turns.append(Turn(role, parts, where))


def _assistant_parts(message: JSONObject, where: str) -> list[Part]:
    for name in ("refusal", "audio", "function_call"):
        if message.get(name) is not None:
            raise UnfitLineError(f"'{where}.{name}' cannot be said to this model: say it as text")
    only({n: v for n, v in message.items() if v != []}, ("role", "content", "tool_calls"), where)
    calls = [
        _tool_call(call, f"{where}.tool_calls[{at}]")
        for at, call in enumerate(objects_in(message.get("tool_calls") or [], f"{where}.tool_calls"))
    ]
    content = message.get("content")
    if calls and not content:
        return [*calls]
    return [*_texts(content, where), *calls]


def _tool_call(call: JSONObject, where: str) -> ToolCall:
    only(call, ("id", "type", "function"), where)
    function = object_in(call, "function", f"{where}.function")
    only(function, ("name", "arguments"), f"{where}.function")
    return ToolCall(
        text_in(call, "id", f"{where}.id"),
        text_in(function, "name", f"{where}.function.name"),
        text_in(function, "arguments", f"{where}.function.arguments"),
    )


def _texts(content: JSONValue, where: str) -> list[str]:
    parts = _parts(content, where)
    if any(not isinstance(part, str) for part in parts):
        raise UnfitLineError(f"'{where}.content' may hold text only")
    return [part for part in parts if isinstance(part, str)]


def _parts(content: JSONValue, where: str) -> list[Part]:
    """Return what a message holds; of a message that holds more, empty texts say nothing."""
    where = f"{where}.content"
    if isinstance(content, str):
        parts: list[Part] = [content]
    else:
        if not isinstance(content, list):
            raise UnfitLineError(f"'{where}' must be a string or an array of parts")
        parts = [_part(part, f"{where}[{at}]") for at, part in enumerate(objects_in(content, where))]
    if not (kept := [part for part in parts if part != ""]):
        raise UnfitLineError(
            f"'{where}' is empty, which models refuse: write something or leave the message out"
        )
    if any(isinstance(part, str) and part.isspace() for part in kept):
        raise UnfitLineError(f"'{where}' is white space alone, which models refuse: leave it out")
    return kept


def _part(part: JSONObject, where: str) -> Part:
    kind = part.get("type")
    if (read := _PARTS.get(kind if isinstance(kind, str) else "")) is None:
        raise UnfitLineError(f"'{where}.type' must be {', '.join(_PARTS)} here")
    return read(part, where)


def _text_part(part: JSONObject, where: str) -> Part:
    only(part, ("type", "text"), where)
    return text_in(part, "text", f"{where}.text")


def _image_part(part: JSONObject, where: str) -> Part:
    only(part, ("type", "image_url"), where)
    image = object_in(part, "image_url", f"{where}.image_url")
    only(image, ("url", "detail"), f"{where}.image_url")
    if image.get("detail") not in (None, "auto"):
        raise UnfitLineError(f"'{where}.image_url.detail' is OpenAI's own: leave it out")
    return media_from_url(text_in(image, "url", f"{where}.image_url.url"), f"{where}.image_url.url")


def _file_part(part: JSONObject, where: str) -> Part:
    only(part, ("type", "file"), where)
    file = object_in(part, "file", f"{where}.file")
    if file.get("file_id") is not None:
        raise UnfitLineError(
            f"'{where}.file.file_id' names a file that a job cannot read: put its bytes into 'file_data'"
        )
    only(file, ("file_data", "filename"), f"{where}.file")
    name = text_in(file, "filename", f"{where}.file.filename") if file.get("filename") is not None else ""
    where = f"{where}.file.file_data"
    return media_from_url(text_in(file, "file_data", where), where, name)


def _audio_part(part: JSONObject, where: str) -> Part:
    only(part, ("type", "input_audio"), where)
    audio = object_in(part, "input_audio", f"{where}.input_audio")
    only(audio, ("data", "format"), f"{where}.input_audio")
    kind = text_in(audio, "format", f"{where}.input_audio.format")
    if kind not in ("wav", "mp3"):
        raise UnfitLineError(f"'{where}.input_audio.format' must be wav or mp3")
    where = f"{where}.input_audio.data"
    return media_from_base64(f"audio/{kind}", text_in(audio, "data", where), where)


_PARTS: Final[Mapping[str, Callable[[JSONObject, str], Part]]] = {
    "text": _text_part,
    "image_url": _image_part,
    "file": _file_part,
    "input_audio": _audio_part,
}
