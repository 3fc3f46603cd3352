"""Connection test: what an upload would need of a provider account, tried step by step."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import structlog
from django.conf import settings
from django.db import DatabaseError

from files_app.models import ProviderAccount
from files_app.services.accounts.drivers import driver_for
from files_app.services.accounts.sharing import prove_access
from files_app.services.index.ids import new_file_id
from files_app.services.index.transactions import release_connection
from files_app.streams.spool import arranged
from providers.base import CheckStep, Driver
from providers.exceptions import (
    ConfigurationRefusedError,
    CredentialsError,
    FileRejectedError,
    ProviderConfigurationError,
    ProviderError,
    ProviderUnavailableError,
    RateLimitedError,
    UnsupportedOperationError,
)
from providers.objects import Digest, FilePart, Operation, PurposePart, Upload
from providers.patience import ask_until_shown
from providers.transports.reach import reach

log = structlog.get_logger(__name__)

_DELETE = "Delete it"
_NAMESPACE_OF_SHARED = "connection-test"
_HINTS: tuple[tuple[type[Exception], str], ...] = (
    (CredentialsError, "Check the credentials, and what they are allowed to do."),
    (
        ConfigurationRefusedError,
        "Check the endpoint, the bucket and the account at the provider.",
    ),
    (RateLimitedError, "The credentials work, but the provider asks to slow down. Try again later."),
    (ProviderUnavailableError, "Check the endpoint, and whether this host may reach it."),
)


def check_connection(
    account: ProviderAccount,
    *,
    upload: bool = False,
    round_trip: bool = False,
    is_remembered: bool = True,
) -> Generator[CheckStep]:
    """Yield each step as it ends; the first one that fails is the last.

    upload: also store a small file, as a client's would be, and delete it. round_trip: read it back before.
    is_remembered: write down that the account has access to where it leads: it decides who may adopt there.
    """
    check = _Check(account, upload=upload or round_trip, read_back=round_trip, is_remembered=is_remembered)
    return check.run()


class _Check:
    def __init__(
        self, account: ProviderAccount, *, upload: bool, read_back: bool, is_remembered: bool
    ) -> None:
        self._account = account
        self._uploads = upload
        self._reads_back = read_back
        self._is_remembered = is_remembered
        self._was_let_in = False
        self._remote_id = ""
        self._content = b""

    def run(self) -> Generator[CheckStep]:
        configured, driver = self._configure()
        yield configured
        if driver is None:
            return
        try:
            yield from self._try(driver)
        finally:  # also when nobody waits for the rest
            if self._is_left_behind(driver):
                _timed(_DELETE, lambda: self._delete(driver))

    def _try(self, driver: Driver) -> Iterator[CheckStep]:
        for name, work in self._steps(driver):
            step = _timed(name, work)
            yield step
            if not step.ok:
                break
        else:
            if self._was_let_in and self._is_remembered:
                prove_access(self._account)
        if self._is_left_behind(driver):  # a step behind the upload has failed
            yield _timed(_DELETE, lambda: self._delete(driver))

    def _is_left_behind(self, driver: Driver) -> bool:
        return bool(self._remote_id) and Operation.DELETE in driver.capabilities.operations

    def _configure(self) -> tuple[CheckStep, Driver | None]:
        found: list[Driver] = []

        def build() -> str:
            found.append(driver_for(self._account, asks_anyway=True))
            return f"{found[0].label}: options and credentials are complete"

        step = _timed("Configuration", build)
        return step, found[0] if found else None

    def _steps(self, driver: Driver) -> Iterator[tuple[str, Callable[[], str]]]:
        operations = driver.capabilities.operations
        if endpoint := driver.endpoint:
            yield "Network", lambda: _reached(endpoint, driver)
        if Operation.LIST in operations:
            yield "List files", lambda: self._list(driver)
        if self._uploads and Operation.CREATE in operations:
            yield "Upload a test file", lambda: self._upload(driver)
            has_content = Operation.CONTENT in operations and driver.capabilities.content == "exact"
            if self._reads_back and has_content:
                yield "Read it back", lambda: self._read_back(driver)
            if driver.capabilities.storage in {"s3", "gcs"}:
                yield "Ask what the store lacks", lambda: self._ask_what_is_missing(driver)
            if Operation.DELETE in operations:
                yield _DELETE, lambda: self._delete(driver)

    def _list(self, driver: Driver) -> str:
        page = driver.list_files()
        self._was_let_in = True
        if not page.files:
            return "the credentials work; there are no files yet"
        more = " or more" if page.next_cursor else ""
        return (
            f"the credentials work; {len(page.files)}{more} file{'s' if len(page.files) != 1 else ''} there"
        )

    def _upload(self, driver: Driver) -> str:
        purpose, filename, self._content = _probe(driver)
        digest = Digest(len(self._content), hashlib.sha256(self._content).hexdigest())
        # Of no known length, as a client's: a server that takes no chunked body is found out here.
        file = FilePart(filename, "application/octet-stream", iter([self._content]))
        organization = self._account.organization
        with arranged(
            iter([PurposePart(purpose), file]),
            driver.capabilities,
            digest=lambda: digest,
            directory=Path(settings.SPOOL_DIR),
            chunk_bytes=settings.UPLOAD_CHUNK_BYTES,
        ) as parts:
            upload = Upload(
                file_id=new_file_id(),
                namespace=organization.namespace if organization else _NAMESPACE_OF_SHARED,
                parts=parts,
                digest=lambda: digest,
            )
            self._remote_id = driver.create_file(upload).remote_id
        self._was_let_in = True
        return f"{len(self._content)} bytes of purpose {purpose} as {self._remote_id}"

    def _read_back(self, driver: Driver) -> str:
        try:
            download = ask_until_shown(lambda: driver.download_file(self._remote_id), label=driver.label)
        except (UnsupportedOperationError, FileRejectedError) as exc:  # such as OpenAI, for most purposes
            return f"the provider gives no file of this purpose back: {exc.message}"
        try:
            same = b"".join(download.chunks) == self._content
        finally:
            download.close()
        if not same:
            raise ProviderUnavailableError("The provider gives other bytes back than it was sent.")
        return "the same bytes came back"

    def _ask_what_is_missing(self, driver: Driver) -> str:
        missing = driver.missing_features(self._remote_id)
        return f"it works without: {'; '.join(missing)}" if missing else "nothing that the gateway uses"

    def _delete(self, driver: Driver) -> str:
        remote_id, self._remote_id = self._remote_id, ""
        ask_until_shown(lambda: driver.delete_file(remote_id), label=driver.label)
        return "nothing is left behind"


def _timed(name: str, work: Callable[[], str]) -> CheckStep:
    started = time.perf_counter()
    try:
        detail, ok = work(), True
    except ProviderError as exc:
        hint = next((hint for kind, hint in _HINTS if isinstance(exc, kind)), "")
        detail, ok = f"{exc.message} {hint}".strip(), False
    except ProviderConfigurationError as exc:
        detail, ok = str(exc), False
    except DatabaseError:
        raise  # is no account's fault
    except Exception as exc:  # one account's oddity must not keep the others from being checked
        log.exception("connection_test_failed_unexpectedly", step=name)
        detail, ok = f"{type(exc).__name__}, which nobody expected: the log has it.", False
    return CheckStep(name, ok, time.perf_counter() - started, detail)


def _reached(endpoint: str, driver: Driver) -> str:
    release_connection()
    return reach(endpoint, driver.account.environment.limits)


def _probe(driver: Driver) -> tuple[str, str, bytes]:
    """Return purpose, name and content of a file that the provider takes."""
    for purpose in ("user_data", "assistants"):
        if purpose in driver.capabilities.purposes:
            return purpose, "connection-test.txt", b"Connection test of the files gateway. Safe to delete.\n"
    line = {
        "custom_id": "connection-test",
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": {"model": "test", "messages": [{"role": "user", "content": "connection test"}]},
    }
    purpose = "batch" if "batch" in driver.capabilities.purposes else min(driver.capabilities.purposes)
    return purpose, "connection-test.jsonl", json.dumps(line).encode() + b"\n"
