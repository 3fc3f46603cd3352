"""The middleware of the admin, which other requests pass by in one step."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.core.handlers.exception import convert_exception_to_response
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.test import RequestFactory

from gateway.people import ADMIN_PREFIX, ForPeople


class _Inner:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        request.META["passed"] = request.META.get("passed", 0) + 1
        return self.get_response(request)


class _Counting(ForPeople, _Inner):
    """Counts who comes through."""


@pytest.mark.parametrize(("path", "passed"), [(ADMIN_PREFIX, 3), ("/v1/files", 0)])
def test_what_is_not_the_admins_makes_one_step(path: str, passed: int) -> None:
    steps: list[str] = []

    def counted(handler: Callable[[HttpRequest], HttpResponseBase]) -> Callable[..., HttpResponseBase]:
        def step(request: HttpRequest) -> HttpResponseBase:
            steps.append("step")
            return handler(request)

        step.__wrapped__ = handler  # type: ignore[attr-defined]  # as Django's own wrapper has it
        return step

    chain = counted(lambda request: HttpResponse("served"))
    for _ in range(3):
        chain = counted(convert_exception_to_response(_Counting(chain)).__wrapped__)  # type: ignore[attr-defined]
    request = RequestFactory().get(path)
    answer = chain(request)
    assert isinstance(answer, HttpResponse) and answer.content == b"served"
    assert request.META.get("passed", 0) == passed
    assert len(steps) == (4 if passed else 2)
