"""The contract of the OpenAI-compatible family."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeVar

from providers.base import AccountConfig, Driver
from providers.openai_compatible import OpenAICompatibleDriver
from tests.fake_provider import VALID_KEY, FakeProvider
from tests.providers.contract import DriverContract, RowContract
from tests.providers.transport import Answer, FakeTransport, Sent

D = TypeVar("D", bound=OpenAICompatibleDriver)


class FamilyRow(RowContract):
    """A row of a driver whose page size is a knob."""

    def make_with_small_pages(self, fake: FakeProvider) -> Driver:
        driver = self.make(fake)
        assert isinstance(driver, OpenAICompatibleDriver)
        if driver.dialect.page_size:
            driver.dialect = replace(driver.dialect, page_size=3)
        return driver


class FamilyContract(FamilyRow, DriverContract):
    """The whole contract for such a driver."""


def build(
    kind: type[D],
    answer: Callable[[Sent], Answer] | Answer | list[Answer],
    *,
    options: Mapping[str, object] | None = None,
    credentials: Mapping[str, str] | None = None,
) -> tuple[D, FakeTransport]:
    """Build a driver whose wire is `answer`, and return both."""
    wire = FakeTransport(answer)
    given = {"api_key": VALID_KEY} if credentials is None else credentials
    return kind(AccountConfig("the-account", options or {}, given, transport=wire)), wire
