"""Functions that a chat may call, for targets whose batches have tools."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from providers.batches.request.chat import ChatRequest
from providers.batches.request.fields import UnfitLineError, object_in, one_of, only, text_in
from providers.objects import JSONObject


@dataclass(frozen=True, slots=True)
class FunctionTool:
    """A function; `parameters` is a JSON schema, None for one without any."""

    name: str
    description: str
    parameters: JSONObject | None


def read_tools(request: ChatRequest) -> list[FunctionTool]:
    """Return the functions of a request. Raises UnfitLineError."""
    return [_tool(tool, f"body.tools[{at}]") for at, tool in enumerate(request.tools)]


def _tool(tool: JSONObject, where: str) -> FunctionTool:
    if tool.get("type") != "function":
        raise UnfitLineError(f"'{where}.type' must be function here")
    only(tool, ("type", "function"), where)
    where = f"{where}.function"
    function = object_in(tool, "function", where)
    only(function, ("name", "description", "parameters", "strict"), where)
    if function.get("strict") is True:
        raise UnfitLineError(f"'{where}.strict' does not exist for this model: leave it out")
    described = function.get("description") is not None
    return FunctionTool(
        text_in(function, "name", f"{where}.name"),
        text_in(function, "description", f"{where}.description") if described else "",
        object_in(function, "parameters", f"{where}.parameters") if function.get("parameters") else None,
    )


def read_choice(request: ChatRequest, tools: Sequence[FunctionTool]) -> tuple[str | None, str | None]:
    """Return auto, none or required (None: nothing is said), and the one function that has to be called."""
    choice = request.tool_choice
    if isinstance(choice, Mapping):
        where = "body.tool_choice"
        if choice.get("type") != "function":
            raise UnfitLineError(f"'{where}.type' must be function here")
        only(choice, ("type", "function"), where)
        name = text_in(object_in(choice, "function", f"{where}.function"), "name", f"{where}.function.name")
        if name not in {tool.name for tool in tools}:
            raise UnfitLineError(f"'{where}' names a function that 'body.tools' does not hold")
        return "required", name
    if choice is None:
        return None, None
    choice = one_of(choice, "body.tool_choice", ("none", "auto", "required"))
    if choice == "required" and not tools:
        raise UnfitLineError("'body.tool_choice' requires a call and 'body.tools' holds nothing to call")
    return choice, None
