"""What the tests of an HTTP driver stand on: the driver before a fake provider, and recorded bodies."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

import pytest

from providers.base import AccountConfig, Driver, Environment
from providers.exceptions import ProviderError
from providers.objects import Operation, RemoteFile, RemotePage
from providers.registry import build_driver
from providers.transports.http import HTTPTransport
from tests.fake_provider import VALID_KEY, FakeProvider, Match
from tests.providers.transport import LOOPBACK, Answer, FakeTransport, PatientTransport
from tests.providers.uploads import UploadSource

DATA = Path(__file__).parent / "data"
CANARY = "canary-5f1e0c9ad7"
JSONL = b'{"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": {"model": "m"}}\n' * 40

EVERY: Match = {"times": None}


@dataclass(frozen=True)
class Error:
    """An error as a test expects it."""

    kind: type[ProviderError]
    message: str
    code: str | None = None
    param: str | None = None


Reading: TypeAlias = RemoteFile | tuple[str, ...] | Error | None


@dataclass(frozen=True)
class Recorded:
    """One body under `data/`: where it is from, and the answer that it was."""

    name: str
    answer: Answer

    @classmethod
    def load(cls, path: Path) -> Recorded:
        text = json.loads(path.read_text())
        assert text["source"] and text["checked"], f"{path.name} must say where and when it was read"
        return cls(path.stem, Answer(text["body"], text.get("status", 200), text.get("headers")))


class Wire:
    """One driver, and how to reach the fake of its provider.

    `driver` and `dialect` are names in the registry and in the fake.
    """

    driver: ClassVar[str]
    dialect: ClassVar[str]
    url_option: ClassVar[str] = "base_url"
    options: ClassVar[Mapping[str, object]] = {}
    credentials: ClassVar[Mapping[str, str]] = {"api_key": VALID_KEY}
    purpose: ClassVar[str] = "batch"
    filename: ClassVar[str] = "requests.jsonl"
    content: ClassVar[bytes] = JSONL
    planted_purpose: ClassVar[str] = "batch"
    #: The request whose answer is the new file.
    create_request: ClassVar[Match] = {"method": "POST", "path": "/files$"}
    #: Whether the provider keeps names as they are given.
    keeps_names: ClassVar[bool] = True
    #: Where the id is in the create answer, and where the size is.
    id_path: ClassVar[str] = "id"
    size_path: ClassVar[str] = "bytes"
    #: Recorded body -> what reading it gives: a RemoteFile, the ids of a page, None for a delete that worked,
    #: or the class, message and `param` of an error.
    expected: ClassVar[Mapping[str, Reading]] = {}
    #: Folder under `data/`; empty for the driver's own name.
    recorded_in: ClassVar[str] = ""

    # What a subclass may override to fit its provider

    def url(self, fake: FakeProvider) -> str:
        return fake.url(self.dialect)

    def config(self, url: str, **changes: object) -> AccountConfig:
        account = AccountConfig(
            name="the-account",
            options={self.url_option: url, **self.options},
            credentials=self.credentials,
            environment=Environment(limits=LOOPBACK),
            transport=PatientTransport(LOOPBACK),
        )
        return replace(account, **changes)  # type: ignore[arg-type]  # fields of AccountConfig

    def make(self, fake: FakeProvider, *, transport: HTTPTransport | None = None) -> Driver:
        """Build the driver for the fake."""
        changes = {"transport": transport} if transport else {}
        return build_driver(self.driver, self.config(self.url(fake), **changes))

    def make_with_small_pages(self, fake: FakeProvider) -> Driver:
        """Build the driver so that seven files need more than one page, where the provider pages."""
        return self.make(fake)

    def source(self, **changes: Any) -> UploadSource:
        values = {"purpose": self.purpose, "filename": self.filename, **changes}
        return UploadSource(values.pop("content", self.content), **values)

    def plant(self, fake: FakeProvider, **changes: Any) -> str:
        """Put a file into the fake and return its remote id."""
        values = {"filename": self.filename, "content": self.content, "purpose": self.planted_purpose}
        return fake.add_file(self.dialect, **{**values, **changes}).remote_id

    def call(self, driver: Driver, operation: Operation, remote_id: str) -> object:
        """Run one operation to its end."""
        calls: Mapping[Operation, Callable[[], object]] = {
            Operation.CREATE: lambda: driver.create_file(self.source().upload),
            Operation.LIST: driver.list_files,
            Operation.RETRIEVE: lambda: driver.retrieve_file(remote_id),
            Operation.CONTENT: lambda: read(driver, remote_id),
            Operation.DELETE: lambda: driver.delete_file(remote_id),
        }
        return calls[operation]()

    def supported(self, driver: Driver, *operations: Operation) -> list[Operation]:
        return [each for each in operations if each in driver.capabilities.operations]

    def recorded(self) -> dict[str, Recorded]:
        folder = DATA / (self.recorded_in or self.driver)
        return {each.stem: Recorded.load(each) for each in sorted(folder.glob("*.json"))}

    def reading(self, recorded: Recorded) -> Reading:
        """Return what the driver makes of a body; its name starts with the operation that it answered."""
        transport = FakeTransport(recorded.answer)
        driver = build_driver(self.driver, self.config("http://127.0.0.1:9", transport=transport))
        operation = Operation(recorded.name.partition("-")[0])
        try:
            result = self.call(driver, operation, recorded_id(recorded.answer.body))
        except ProviderError as exc:
            return Error(type(exc), exc.message, exc.code, exc.param)
        if isinstance(result, RemotePage):
            return tuple(each.remote_id for each in result.files)
        assert result is None or isinstance(result, RemoteFile)
        return result


def read(driver: Driver, remote_id: str) -> bytes:
    """Download a whole file."""
    download = driver.download_file(remote_id)
    try:
        return b"".join(download.chunks)
    finally:
        download.close()


def every_page(driver: Driver, most: int = 20) -> Iterator[RemotePage]:
    """Follow the cursors; fails on a list without an end."""
    cursor: str | None = None
    for _ in range(most):
        page = driver.list_files(cursor=cursor)
        yield page
        if page.next_cursor is None:
            return
        cursor = page.next_cursor
    pytest.fail("the list has no end")


def metered(driver: Driver) -> list[tuple[str, Operation]]:
    """Give a driver a meter, and return the list in which it notes what it was entered with."""
    entered: list[tuple[str, Operation]] = []

    def meter(name: str, operation: Operation) -> AbstractContextManager[None]:
        entered.append((name, operation))
        return nullcontext()

    driver.account = replace(driver.account, meter=meter)
    return entered


def recorded_id(body: Any) -> str:
    """Return the id of the file that a recorded body is about; any id where it is about none."""
    file = body.get("dataset", body) if isinstance(body, dict) else {}
    found = file.get("id") or file.get("file_id") or file.get("name", "file-1")
    return str(found).rpartition("/")[2]


def nested(path: str, value: Any) -> dict[str, Any]:
    """Return `{"a": {"b": value}}` for the path `a.b`."""
    for name in reversed(path.split(".")):
        value = {name: value}
    return value  # type: ignore[no-any-return]  # a dict after at least one round
