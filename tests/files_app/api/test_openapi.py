"""The committed OpenAPI document is what the code says, and has every route of the API."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.validation import validate_schema
from jsonschema import Draft4Validator
from rest_framework.views import APIView

from files_app.api import urls
from files_app.services.index.file_objects import FileObject
from files_app.web.errors import ErrorAnswer
from tests.stack import PROJECT

DOCUMENT = PROJECT / "docs" / "openapi.json"
HINT = "run `.venv/bin/python manage.py spectacular --format openapi-json --file docs/openapi.json`"


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return dict(json.loads(DOCUMENT.read_text()))


def routes() -> set[tuple[str, str]]:
    """Return (method, view) of everything that the API's routes lead to."""
    found: set[tuple[str, str]] = set()
    for pattern in urls.api():
        callback: Any = pattern.callback
        view: type[APIView] = callback.cls
        handlers = getattr(callback, "actions", None) or {
            name: name for name in vars(view) if name in view.http_method_names
        }
        # A viewset answers HEAD by its GET, and notes that when it is first asked.
        own = {m: h for m, h in handlers.items() if m != "head" or h != handlers["get"]}
        found |= {(method, f"{view.__name__}.{handler}") for method, handler in own.items()}
    return found


def test_the_document_is_up_to_date(document: dict[str, Any]) -> None:
    generated = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    assert document == json.loads(json.dumps(generated)), HINT


def test_a_process_makes_the_document_once(
    client: Client, document: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = client.get("/openapi.json")
    assert first.json() == document
    monkeypatch.delattr(SchemaGenerator, "get_schema")
    assert client.get("/openapi.json?version=2").content == first.content


def test_the_document_is_valid(document: dict[str, Any]) -> None:
    validate_schema(document)


def test_every_operation_of_every_route_is_described(document: dict[str, Any]) -> None:
    described = [method for operations in document["paths"].values() for method in operations]
    assert sorted(described) == sorted(method for method, _ in routes())


def test_every_operation_says_what_it_needs_and_answers(document: dict[str, Any]) -> None:
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            where = f"{method} {path}"
            schemes = [{"apiKey": []}, {"azureApiKey": []}, {"anthropicApiKey": []}]
            assert operation["security"] == schemes, where
            assert operation["description"], where
            assert {"200", "401", "403", "500", "503"} <= operation["responses"].keys(), where
            for status, answer in operation["responses"].items():
                assert answer["description"], f"{where} {status}"
                if status >= "400" and method != "head":
                    schema = answer["content"]["application/json"]["schema"]
                    assert schema == {"$ref": "#/components/schemas/Error"}, f"{where} {status}"


def test_the_shapes_are_those_of_the_code(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    assert schemas["File"]["properties"].keys() == FileObject.__annotations__.keys()
    error = ErrorAnswer(400, "wrong").body()["error"]
    assert schemas["ErrorDetail"]["properties"].keys() == error.keys()
    assert set(schemas["ErrorDetail"]["required"]) == set(error)


def test_the_gateway_serves_it_as_json(client: Client, document: dict[str, Any]) -> None:
    answer = client.get("/openapi.json")
    assert answer.headers["Content-Type"].startswith("application/vnd.oai.openapi+json")
    assert json.loads(answer.content) == document


def test_the_page_of_the_document_has_nothing_inline(client: Client) -> None:
    """The Content-Security-Policy would refuse it."""
    page = client.get("/docs").content.decode()
    assert "<style" not in page
    assert "<script>" not in page
    assert client.get("/docs?script=").status_code == 200


def as_json_schema(node: Any) -> Any:
    """Say OpenAPI 3.0's `nullable` in JSON Schema's words."""
    if isinstance(node, list):
        return [as_json_schema(each) for each in node]
    if not isinstance(node, dict):
        return node
    inner = {key: as_json_schema(value) for key, value in node.items() if key != "nullable"}
    return {"anyOf": [inner, {"type": "null"}]} if node.get("nullable") is True else inner


def test_every_operation_has_a_summary_and_its_examples_fit(document: dict[str, Any]) -> None:
    assert document["servers"][0]["url"] == "/"
    fitted = 0
    for operations in document["paths"].values():
        for operation in operations.values():
            assert operation["summary"], operation["operationId"]
            for content in (answer.get("content", {}) for answer in operation["responses"].values()):
                for media in content.values():
                    schema = as_json_schema({**media["schema"], "components": document["components"]})
                    for example in media.get("examples", {}).values():
                        Draft4Validator(schema).validate(example["value"])
                        fitted += 1
    assert fitted > 8
