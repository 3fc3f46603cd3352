"""The calls on the page about batches are calls that the providers' own libraries take."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest
from botocore.validate import ParamValidator

from tests.test_documentation import DOCS

BLOCKS = re.findall(r"^```python\n(.+?)^```", (DOCS / "batches.md").read_text(), re.MULTILINE | re.DOTALL)
KEYS = (
    *("GATEWAY_KEY", "OPENAI_API_KEY", "AZURE_OPENAI_API_KEY", "GROQ_API_KEY", "MISTRAL_API_KEY"),
    *("GEMINI_API_KEY", "AWS_BEARER_TOKEN_BEDROCK", "ANTHROPIC_API_KEY"),
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
)
FILE = SimpleNamespace(
    id="file-abc",
    batch={
        "format": "bedrock-converse",
        "model": "amazon.nova-lite-v1:0",
        "uri": "s3://bucket/files/org-1/batch/file-abc/file-abc.jsonl",
        "output_uri": "s3://bucket/files/org-1/results/file-abc/",
    },
)
#: What calls answer; only the libraries' own classes say whether such a call can be made.
ANSWERS = ("batch", "job", "found", "result", "line", "open", "name", "purpose", "headers")


@pytest.fixture(scope="module")
def names() -> Iterator[dict[str, Any]]:
    """What the blocks define: imports, clients and functions, made for real."""
    with pytest.MonkeyPatch.context() as patch:
        for name in KEYS:
            patch.setenv(name, "not-a-real-key")
        patch.setattr("google.auth.default", lambda **_: (MagicMock(), "project"))
        defined: dict[str, Any] = {"file": FILE}
        for statement in ast.parse("\n".join(BLOCKS)).body:
            is_definition = isinstance(statement, ast.Import | ast.ImportFrom | ast.FunctionDef)
            if is_definition or makes_client_or_value(statement):
                code = compile(ast.Module([statement], []), "batches.md", "exec")
                exec(code, defined)  # noqa: S102 - our own page
        yield defined


def makes_client_or_value(statement: ast.stmt) -> bool:
    """Whether a statement is `name = Client(...)` or `name = {...}`."""
    if not (isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Call | ast.Dict)):
        return False
    if isinstance(statement.value, ast.Dict):
        return True
    function = statement.value.func
    return (isinstance(function, ast.Name) and function.id[0].isupper()) or ast.unparse(function) in {
        "boto3.client",
        "genai.Client",
    }


def calls(block: str, clients: set[str]) -> Iterator[ast.Call]:
    for node in ast.walk(ast.parse(block)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
            words = ast.unparse(node.func)
            if "(" not in words and words.split(".")[0] in clients:
                yield node


def check_call(call: ast.Call, names: dict[str, Any]) -> None:
    """Fail when the function does not exist or takes no such arguments."""
    answers = {name: MagicMock() for name in ANSWERS}
    answers["job"].__getitem__.return_value = "arn:aws:bedrock:us-east-1:123456789012:model-invocation-job/a1"
    known = {**answers, **names}

    def value(node: ast.expr) -> Any:
        return eval(compile(ast.Expression(node), "batches.md", "eval"), known)  # noqa: S307 - our own page

    function = value(call.func)
    positional = [value(each) for each in call.args]
    keywords = {str(each.arg): value(each.value) for each in call.keywords}
    client = getattr(function, "__self__", None)
    if client is not None and type(client).__module__ == "botocore.client":
        operation = client.meta.method_to_api_mapping[function.__name__]
        shape = client.meta.service_model.operation_model(operation).input_shape
        report = ParamValidator().validate(keywords, shape)
        assert not report.has_errors(), report.generate_report()
    else:
        inspect.signature(function).bind(*positional, **keywords)


def test_every_call_of_the_page_can_be_made(names: dict[str, Any]) -> None:
    clients = {name for name, value in names.items() if name.islower() and not inspect.ismodule(value)}
    found = [call for block in BLOCKS for call in calls(block, clients)]
    for call in found:
        check_call(call, names)
    checked = [ast.unparse(call.func) for call in found]
    started = {name for name in checked if name.endswith((".create", ".create_model_invocation_job"))}
    assert started == {
        *("openai.batches.create", "azure.batches.create", "groq.batches.create"),
        *("mistral.batch.jobs.create", "gemini.batches.create", "bedrock.create_model_invocation_job"),
        *("runtime.batches.create", "vertex.batches.create", "claude.beta.messages.batches.create"),
        "gateway.files.create",
    }


@pytest.mark.parametrize(
    "call",
    ["gateway.files.upload()", "gateway.files.create(path='x')", "bedrock.create_model_invocation_job()"],
)
def test_a_call_that_cannot_be_made_is_found(names: dict[str, Any], call: str) -> None:
    (node,) = calls(call, {"gateway", "bedrock"})
    with pytest.raises((AttributeError, TypeError, AssertionError)):
        check_call(node, names)
