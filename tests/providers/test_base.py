"""The door: what every operation of every driver passes."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest

from providers.base import AccountConfig, Driver, Setting
from providers.exceptions import (
    InvalidResponseError,
    ProviderError,
    ProviderUnavailableError,
    UnsupportedOperationError,
)
from providers.locations import Location
from providers.objects import ByteRange, Capabilities, Download, Operation, RemoteFile, RemotePage
from tests.providers.wire import CANARY, metered


class AcmeDriver(Driver):
    """Raises what it is told to; it cannot delete."""

    name = "acme"
    label = "Acme"
    capabilities = Capabilities(operations=frozenset(Operation) - {Operation.DELETE})
    credentials = (Setting("api_key", "API key", secret=True),)
    error: Exception | None = None

    def location(self) -> Location:
        return Location.of([])

    def _list_files(self, cursor: str | None) -> RemotePage:
        if self.error is not None:
            raise self.error
        return RemotePage(())

    def _retrieve_file(self, remote_id: str) -> RemoteFile:
        try:
            raise ProviderUnavailableError(f"the key {CANARY} is too long")
        except ProviderError as exc:
            raise InvalidResponseError(f"no sense: {exc.message}") from exc

    def _download_file(self, remote_id: str, byte_range: ByteRange | None) -> Download:
        return Download(self._chunks(), lambda: None)

    def _chunks(self) -> Iterator[bytes]:
        yield b"first"
        raise ProviderUnavailableError(f"the key {CANARY} has ended")


@pytest.fixture
def driver() -> AcmeDriver:
    return AcmeDriver(AccountConfig("the-account", credentials={"api_key": CANARY}))


def test_an_error_names_account_and_operation_and_no_credential(driver: AcmeDriver) -> None:
    driver.error = ProviderUnavailableError(f"the key {CANARY} is bad")
    with pytest.raises(ProviderUnavailableError) as caught:
        driver.list_files()
    assert (caught.value.provider, caught.value.operation) == ("the-account", "list")
    assert str(caught.value) == caught.value.message == "the key [redacted] is bad"


def test_what_caused_an_error_shows_no_credential_either(driver: AcmeDriver) -> None:
    with pytest.raises(InvalidResponseError) as caught:
        driver.retrieve_file("file-1")
    shown = "".join(traceback.format_exception(caught.value))
    assert "the key [redacted] is too long" in shown
    assert CANARY not in shown


def test_an_error_that_causes_itself_ends(driver: AcmeDriver) -> None:
    driver.error, cause = ProviderUnavailableError("late"), ProviderUnavailableError(CANARY)
    driver.error.__cause__, cause.__cause__ = cause, driver.error
    with pytest.raises(ProviderUnavailableError, match="late"):
        driver.list_files()
    assert str(cause) == "[redacted]"


def test_an_error_while_bytes_come_is_like_any_other(driver: AcmeDriver) -> None:
    download = driver.download_file("file-1")
    assert next(download.chunks) == b"first"
    with pytest.raises(ProviderUnavailableError) as caught:
        next(download.chunks)
    assert (caught.value.provider, caught.value.operation) == ("the-account", "content")
    assert str(caught.value) == "the key [redacted] has ended"


def test_an_error_of_another_account_keeps_its_name(driver: AcmeDriver) -> None:
    driver.error = ProviderUnavailableError("gone", provider="the-source", operation=Operation.CONTENT)
    with pytest.raises(ProviderUnavailableError) as caught:
        driver.list_files()
    assert (caught.value.provider, caught.value.operation) == ("the-source", "content")


def test_what_is_no_providers_error_passes_as_it_is(driver: AcmeDriver) -> None:
    driver.error = ValueError(CANARY)
    with pytest.raises(ValueError, match=CANARY) as caught:
        driver.list_files()
    assert caught.value is driver.error


def test_what_is_not_declared_is_neither_tried_nor_metered(driver: AcmeDriver) -> None:
    entered = metered(driver)
    for refused in (lambda: driver.delete_file("file-1"), lambda: driver.require(Operation.DELETE)):
        with pytest.raises(UnsupportedOperationError) as caught:
            refused()
        assert (caught.value.provider, caught.value.operation) == ("the-account", "delete")
    assert entered == []


def test_a_meter_sees_how_the_operation_ended() -> None:
    ends: list[object] = []

    @contextmanager
    def meter(name: str, operation: Operation) -> Iterator[None]:
        try:
            yield
        except ProviderError as exc:
            ends.append((exc.provider, exc.operation, exc.message))
            raise
        ends.append(operation)

    account = AccountConfig("the-account", credentials={"api_key": CANARY}, meter=meter)
    driver = AcmeDriver(account)
    driver.list_files()
    driver.error = ProviderUnavailableError(f"the key {CANARY} is bad")
    with pytest.raises(ProviderUnavailableError):
        driver.list_files()
    assert ends == ["list", ("the-account", "list", "the key [redacted] is bad")]


def test_a_download_is_metered_until_it_is_open(driver: AcmeDriver) -> None:
    entered = metered(driver)
    download = driver.download_file("file-1")
    with pytest.raises(ProviderUnavailableError):
        list(download.chunks)
    assert entered == [("acme", "content")]


def test_a_provider_that_chooses_ids_has_no_more_than_them(driver: AcmeDriver) -> None:
    assert not driver.names_files
    assert driver.file_id_of("file-1") == "file-1"
    assert driver.namespace_of("file-1") is None
    assert driver.sweep_stray(timedelta(0)) == 0
    with pytest.raises(UnsupportedOperationError) as caught:
        driver.find_file(namespace="org-1", file_id="file-1")
    assert (caught.value.provider, caught.value.code) == ("the-account", "unsupported_operation")
