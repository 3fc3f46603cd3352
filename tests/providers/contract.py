"""What every driver that speaks HTTP must do, against the fake provider and against recorded bodies.

A driver's test subclasses `DriverContract`, names the driver and the fake's dialect, and supplies recorded
bodies under `data/<provider>/`; where a provider differs on purpose, it overrides one attribute or one test.
A row of a driver that has passed needs `RowContract` only, and one more way to upload `UploadContract`.
"""

from __future__ import annotations

import threading
import traceback
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, ClassVar

import pytest

from providers.base import Driver
from providers.exceptions import (
    CredentialsError,
    FileRejectedError,
    InvalidResponseError,
    ProviderConfigurationError,
    ProviderError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    RateLimitedError,
    RemoteFileNotFoundError,
    UnsupportedOperationError,
)
from providers.objects import ByteRange, Operation, RemoteFile, RemotePage
from providers.registry import build_driver
from providers.transports.http import TransportLimits
from tests.fake_provider import FakeProvider, behaviours
from tests.providers.transport import LOOPBACK, PatientTransport
from tests.providers.uploads import Position, ProbeError
from tests.providers.wire import CANARY, EVERY, Wire, every_page, metered, nested, read

NAMES = {
    "emoji": "päper 📎🧾.jsonl",
    "quotes": "he said \"no\" & 'yes'.jsonl",
    "line ends": "a\r\nX-Injected: yes\r\n\r\n.jsonl",
    "right to left": "\u202egpj.exe مرحبا.jsonl",
    "long": "n" * 249 + ".jsonl",
    "separators": "..;a=b\\c, d.jsonl",
}
BAD_IDS = ("", ".", "..", "../files", "a/b", "a%2Fb", "a b", "a?b=c", "a#b", "file-é", "a\r\nb", "x" * 256)
RETRY_AFTER = {
    "seconds": ([("Retry-After", "7")], 7.0),
    "fraction": ([("Retry-After", "2.5")], 2.5),
    "milliseconds": ([("Retry-After", "1"), ("retry-after-ms", "9000")], 9.0),
}
UNUSABLE_IDS = (None, 17, "", "..", "../secret", "a/b", "x" * 256, "a\r\nb", ["a"])
POSITIONS: tuple[Position, ...] = ("before the file", "at its first byte", "inside", "at the last check")


FILE_OPERATIONS = (Operation.RETRIEVE, Operation.CONTENT, Operation.DELETE)
TRAP = "/trap"


class RowContract(Wire):
    """One round trip, and what the row of a provider declares."""

    def test_it_declares_facts_with_source_and_date(self, fake: FakeProvider) -> None:
        capabilities = self.make(fake).capabilities
        assert capabilities.source.startswith("https://")
        assert capabilities.checked == "2026-11-23"
        assert capabilities.purposes and capabilities.paging
        missing = set(Operation) - capabilities.operations
        assert all(capabilities.missing_reasons.get(each) for each in missing)

    def test_it_refuses_what_is_not_declared_without_a_request(self, fake: FakeProvider) -> None:
        driver = self.make(fake)
        for operation in set(Operation) - driver.capabilities.operations:
            with pytest.raises(UnsupportedOperationError) as caught:
                self.call(driver, operation, "file-1")
            assert caught.value.code == "unsupported_operation"
        assert fake.requests == []

    def test_a_file_makes_the_round_trip(self, fake: FakeProvider) -> None:
        driver = self.make(fake)
        created = driver.create_file(self.source().upload)
        (stored,) = fake.store(self.dialect)
        assert stored.content() == self.content
        self.check_created(created, driver)
        if self.supported(driver, Operation.RETRIEVE):
            assert driver.retrieve_file(created.remote_id).remote_id == created.remote_id
        if self.supported(driver, Operation.LIST):
            assert [each.remote_id for each in driver.list_files().files] == [created.remote_id]
        if self.supported(driver, Operation.CONTENT):
            is_exact = driver.capabilities.content == "exact"
            assert (read(driver, created.remote_id) == self.content) == is_exact
        if self.supported(driver, Operation.DELETE):
            driver.delete_file(created.remote_id)
            assert fake.store(self.dialect) == []
            with pytest.raises(RemoteFileNotFoundError):
                driver.delete_file(created.remote_id)

    def check_created(self, created: RemoteFile, driver: Driver) -> None:
        assert created.bytes in {None, len(self.content)}
        assert created.status in {"uploaded", "processed"}
        assert created.filename in {None, self.filename}
        assert created.purpose in {None, self.purpose}

    def test_it_sends_no_field_that_the_provider_does_not_know(self, fake: FakeProvider) -> None:
        self.make(fake).create_file(self.source(expires_after_seconds=86_400).upload)
        assert [each.unknown_fields for each in fake.requests if each.unknown_fields] == []

    def test_it_lists_every_page_once(self, fake: FakeProvider) -> None:
        driver = self.make_with_small_pages(fake)
        if not self.supported(driver, Operation.LIST):
            pytest.skip("the provider has no list")
        planted = {self.plant(fake, created_at=1_795_000_000 + number) for number in range(7)}
        pages = list(every_page(driver))
        found = [each.remote_id for page in pages for each in page.files]
        assert sorted(found) == sorted(planted)

    def test_recorded_bodies_read_as_expected(self) -> None:
        recorded = self.recorded()
        assert set(recorded) == set(self.expected), "each body in data/ needs an expectation, and back"
        for name, each in recorded.items():
            assert self.reading(each) == self.expected[name], name


class UploadContract(RowContract):
    """An upload, however it is cut and whatever becomes of it."""

    #: Whether the file passes while it arrives, so that an early answer can stop it.
    streams: ClassVar[bool] = True

    @pytest.mark.parametrize("chunk_bytes", [1, 7, 4096, 1_000_000])
    def test_the_same_bytes_arrive_however_they_are_cut(self, fake: FakeProvider, chunk_bytes: int) -> None:
        self.make(fake).create_file(self.source(chunk_bytes=chunk_bytes).upload)
        (stored,) = fake.store(self.dialect)
        assert stored.content() == self.content

    @pytest.mark.parametrize("kind", NAMES)
    def test_a_name_arrives_and_cannot_break_out(self, fake: FakeProvider, kind: str) -> None:
        self.make(fake).create_file(self.source(filename=NAMES[kind]).upload)
        (stored,) = fake.store(self.dialect)
        assert stored.content() == self.content
        assert not any("injected" in name.lower() for each in fake.requests for name, _ in each.headers.pairs)
        if self.keeps_names:
            assert stored.filename == NAMES[kind]

    def test_the_file_may_come_before_the_fields(self, fake: FakeProvider) -> None:
        driver = self.make(fake)
        if driver.capabilities.text_fields_first:
            pytest.skip("the gateway spools such an upload and sends the fields first")
        driver.create_file(self.source(file_first=True, expires_after_seconds=86_400).upload)
        (stored,) = fake.store(self.dialect)
        assert stored.content() == self.content
        assert stored.purpose in {"", driver.capabilities.purposes[self.purpose]}

    def test_a_spooled_file_makes_the_round_trip(self, fake: FakeProvider) -> None:
        self.make(fake).create_file(self.source(announced=True, expires_after_seconds=86_400).upload)
        (stored,) = fake.store(self.dialect)
        assert stored.content() == self.content

    @pytest.mark.parametrize("remote_id", UNUSABLE_IDS)
    def test_an_unusable_id_is_invalid(self, fake: FakeProvider, remote_id: Any) -> None:
        fake.script(self.create_request, behaviours.patched(nested(self.id_path, remote_id)))
        with pytest.raises(InvalidResponseError):
            self.make(fake).create_file(self.source().upload)

    def test_a_wrong_size_is_invalid(self, fake: FakeProvider) -> None:
        if not self.size_path:
            pytest.skip("the provider does not say the size")
        wrong = behaviours.patched(nested(self.size_path, len(self.content) + 1))
        fake.script(self.create_request, wrong)
        with pytest.raises(InvalidResponseError):
            self.make(fake).create_file(self.source().upload)

    def test_a_missing_size_is_unknown(self, fake: FakeProvider) -> None:
        fake.script(self.create_request, behaviours.patched(nested(self.size_path or "bytes", None)))
        assert self.make(fake).create_file(self.source().upload).bytes is None

    # Uploads that must leave nothing behind

    @pytest.mark.parametrize("error", [ProbeError("no"), ConnectionResetError("client"), BrokenPipeError(32)])
    @pytest.mark.parametrize("position", POSITIONS)
    def test_an_upload_that_raises_leaves_nothing(
        self, fake: FakeProvider, position: Position, error: Exception
    ) -> None:
        source = self.source(fails=position, error=error, chunk_bytes=512)
        with pytest.raises(type(error)) as caught:
            self.make(fake).create_file(source.upload)
        assert caught.value is error
        fake.wait_until_idle()
        assert fake.store(self.dialect) == []

    @pytest.mark.parametrize("position", ["inside", "at the last check"])
    def test_a_failed_upload_does_not_spoil_the_next(self, fake: FakeProvider, position: Position) -> None:
        driver = self.make(fake)
        with pytest.raises(ProbeError):
            driver.create_file(self.source(fails=position).upload)
        driver.create_file(self.source().upload)
        fake.wait_until_idle()
        (stored,) = fake.store(self.dialect)
        assert stored.content() == self.content

    def test_an_early_answer_stops_the_upload(self, fake: FakeProvider) -> None:
        if not self.streams:
            pytest.skip("the whole file is sent in one piece")
        fake.script(self.create_request, behaviours.fail(413, after_body_bytes=1_000))
        source = self.source(content=bytes(65_536), repeat=4_096)
        with pytest.raises(FileRejectedError) as caught:
            self.make(fake).create_file(source.upload)
        assert caught.value.status_code == 413
        assert source.pulled_bytes < source.total_bytes // 2
        assert fake.store(self.dialect) == []

    def test_an_upload_is_never_sent_twice(self, fake: FakeProvider) -> None:
        fake.script(self.create_request, behaviours.fail(503))
        with pytest.raises(ProviderUnavailableError):
            self.make(fake).create_file(self.source().upload)
        assert fake.unused_behaviours() == 0
        assert fake.store(self.dialect) == []

    # Answers that are no good

    #: Status -> error, for an operation on one file.
    kinds: ClassVar[Mapping[int, type[ProviderError]]] = {
        400: FileRejectedError,
        401: CredentialsError,
        403: CredentialsError,
        404: RemoteFileNotFoundError,
        408: ProviderTimeoutError,
        429: RateLimitedError,
        500: ProviderUnavailableError,
        502: ProviderUnavailableError,
        503: ProviderUnavailableError,
        504: ProviderTimeoutError,
        529: ProviderUnavailableError,
    }

    @pytest.mark.parametrize("status", [400, 401, 403, 413, 422, 429, 500, 503])
    def test_a_refused_upload_becomes_the_right_error(self, fake: FakeProvider, status: int) -> None:
        kinds = {**self.kinds, 413: FileRejectedError, 422: FileRejectedError}
        fake.script(self.create_request, behaviours.fail(status))
        with pytest.raises(ProviderError) as caught:
            self.make(fake).create_file(self.source().upload)
        assert type(caught.value) is kinds[status]
        assert caught.value.operation == Operation.CREATE
        assert fake.store(self.dialect) == []

    @pytest.mark.parametrize(
        "behaviour",
        [
            pytest.param(behaviours.html(stored=True), id="html"),
            pytest.param(behaviours.garbage(stored=True), id="garbage"),
            pytest.param(behaviours.answer(200, json_body=[], stored=True), id="a list"),
            pytest.param(behaviours.answer(200, json_body={}, stored=True), id="nothing in it"),
            pytest.param(behaviours.answer(200, b"", stored=True), id="no body"),
            pytest.param(behaviours.answer(200, b'{"bytes": NaN}', stored=True), id="not a number"),
            pytest.param(behaviours.answer(200, b"[" * 100_000, stored=True), id="too deep"),
            pytest.param(behaviours.huge_json(), id="too large"),
        ],
    )
    def test_a_success_that_makes_no_sense_is_invalid(self, fake: FakeProvider, behaviour: Any) -> None:
        fake.script(self.create_request, behaviour)
        with pytest.raises(InvalidResponseError) as caught:
            self.make(fake).create_file(self.source().upload)
        assert caught.value.retryable and caught.value.provider == "the-account"

    def test_an_error_in_a_success_is_an_error(self, fake: FakeProvider) -> None:
        fake.script(self.create_request, behaviours.success_with_error())
        with pytest.raises((ProviderUnavailableError, InvalidResponseError)):
            self.make(fake).create_file(self.source().upload)

    def test_a_lost_answer_leaves_the_outcome_open(self, fake: FakeProvider) -> None:
        fake.script(self.create_request, behaviours.store_then_drop())
        with pytest.raises(ProviderUnavailableError) as caught:
            self.make(fake).create_file(self.source().upload)
        assert not caught.value.answered
        assert caught.value.provider == "the-account"

    @pytest.mark.parametrize("resets", [False, True])
    def test_a_connection_that_breaks_is_unavailable(self, fake: FakeProvider, resets: bool) -> None:
        fake.script(self.create_request, behaviours.drop(after_body_bytes=100, resets=resets))
        with pytest.raises(ProviderUnavailableError) as caught:
            self.make(fake).create_file(self.source().upload)
        assert not caught.value.answered

    def test_a_provider_that_hangs_times_out(self, fake: FakeProvider) -> None:
        limits = TransportLimits(read_timeout_seconds=0.3, call_timeout_seconds=0.3, allow_private=True)
        fake.script(self.create_request, behaviours.hang())
        with pytest.raises(ProviderTimeoutError) as caught:
            self.make(fake, transport=PatientTransport(limits)).create_file(self.source().upload)
        assert not caught.value.answered
        fake.release()

    def test_a_closed_port_is_unavailable(self) -> None:
        driver = build_driver(self.driver, self.config("http://127.0.0.1:9"))
        with pytest.raises(ProviderUnavailableError) as caught:
            driver.create_file(self.source().upload)
        assert caught.value.answered, "nothing can have been stored"

    # Threads

    def test_threads_do_not_mix_their_files(self, fake: FakeProvider) -> None:
        driver = self.make(fake)
        contents = [
            b'{"custom_id": "%d", "method": "POST", "url": "/", "body": {}}\n' % n * 999 for n in range(8)
        ]
        threads = [
            threading.Thread(target=lambda c=each: driver.create_file(self.source(content=c).upload))
            for each in contents
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(each.content() for each in fake.store(self.dialect)) == sorted(contents)


class DriverContract(UploadContract):
    """All cases."""

    def test_it_refuses_an_unknown_option(self, fake: FakeProvider) -> None:
        options = {self.url_option: self.url(fake), **self.options, "colour": "blue"}
        with pytest.raises(ProviderConfigurationError, match="colour"):
            build_driver(self.driver, self.config("", options=options))

    #: The type under which a file arrives whose type neither its client nor its name tells.
    unknown_type: ClassVar[str | None] = None

    def sent_type(self, fake: FakeProvider) -> str | None:
        """Return the type under which the upload's file arrived."""
        (file,) = (part for request in fake.requests for part in request.parts if part.filename is not None)
        return file.headers.get("content-type")

    @pytest.mark.parametrize(
        ("given", "filename", "sent"),
        [
            ("application/octet-stream", "report.PDF", "application/pdf"),
            ("", "report.pdf", "application/pdf"),
            ("image/png", "report.pdf", "image/png"),
            ("text/csv; charset=utf-8", "report", "text/csv"),
            ("application/octet-stream", "report", None),
        ],
    )
    def test_a_type_is_the_clients_or_the_names_or_left_out(
        self, fake: FakeProvider, given: str, filename: str, sent: str | None
    ) -> None:
        with suppress(FileRejectedError):  # not every purpose is for such a file
            self.make(fake).create_file(self.source(content_type=given, filename=filename).upload)
        assert self.sent_type(fake) == (sent or self.unknown_type)

    def test_an_empty_list_ends(self, fake: FakeProvider) -> None:
        driver = self.make(fake)
        if self.supported(driver, Operation.LIST):
            assert driver.list_files() == RemotePage(())

    # Errors

    def kind(self, operation: Operation, status: int) -> type[ProviderError]:
        """Return what a status means for an operation on one file."""
        return self.kinds[status]

    @pytest.mark.parametrize("status", [400, 401, 403, 404, 408, 429, 500, 502, 503, 504, 529])
    def test_a_status_becomes_the_right_error(self, fake: FakeProvider, status: int) -> None:
        driver = self.make(fake)
        remote_id = self.plant(fake)
        fake.script(EVERY, behaviours.fail(status))
        for operation in self.supported(driver, *FILE_OPERATIONS):
            with pytest.raises(ProviderError) as caught:
                self.call(driver, operation, remote_id)
            error = caught.value
            assert type(error) is self.kind(operation, status), operation
            assert (error.provider, error.operation, error.status_code) == ("the-account", operation, status)
            assert error.retryable == (status in {408, 429} or status >= 500)
            assert error.answered

    @pytest.mark.parametrize("operation", [Operation.CREATE, Operation.LIST])
    def test_a_wrong_address_is_no_missing_file(self, fake: FakeProvider, operation: Operation) -> None:
        driver = self.make(fake)
        fake.script(EVERY, behaviours.answer(404, "404 page not found"))
        if self.supported(driver, operation):
            with pytest.raises(ProviderError) as caught:
                self.call(driver, operation, "")
            assert not isinstance(caught.value, RemoteFileNotFoundError)

    @pytest.mark.parametrize("spelling", RETRY_AFTER)
    def test_it_reads_how_long_to_wait(self, fake: FakeProvider, spelling: str) -> None:
        headers, seconds = RETRY_AFTER[spelling]
        driver, remote_id = self.make(fake), self.plant(fake)
        fake.script(EVERY, behaviours.fail(429, headers=headers))
        with pytest.raises(RateLimitedError) as caught:
            self.call(driver, self.supported(driver, Operation.DELETE, Operation.LIST)[0], remote_id)
        assert caught.value.retry_after_seconds == seconds

    def test_it_reads_a_date_to_wait_for(self, fake: FakeProvider) -> None:
        driver, remote_id = self.make(fake), self.plant(fake)
        date = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
        fake.script(EVERY, behaviours.fail(429, retry_after=date))
        with pytest.raises(RateLimitedError) as caught:
            self.call(driver, self.supported(driver, Operation.DELETE, Operation.LIST)[0], remote_id)
        assert caught.value.retry_after_seconds == pytest.approx(3_600, abs=60)

    def test_a_page_of_html_is_not_shown(self, fake: FakeProvider) -> None:
        fake.script(EVERY, behaviours.html(502))
        driver = self.make(fake)
        with pytest.raises(ProviderUnavailableError) as caught:
            self.call(driver, self.supported(driver, Operation.LIST, Operation.RETRIEVE)[0], "file-1")
        assert "<" not in str(caught.value)

    # Ids

    @pytest.mark.parametrize("remote_id", BAD_IDS)
    def test_an_id_that_no_file_can_have_is_not_asked_for(self, fake: FakeProvider, remote_id: str) -> None:
        driver = self.make(fake)
        for operation in self.supported(driver, *FILE_OPERATIONS):
            with pytest.raises(RemoteFileNotFoundError):
                self.call(driver, operation, remote_id)
        assert fake.requests == []

    # Downloads

    @pytest.mark.parametrize("framing", ["length", "chunked"])
    def test_a_download_that_is_cut_raises(self, fake: FakeProvider, framing: Any) -> None:
        driver, remote_id = self.make(fake), self.plant(fake)
        if not self.supported(driver, Operation.CONTENT):
            pytest.skip("the provider gives no content")
        cut = behaviours.cut_answer(len(self.content) // 2, framing=framing)
        fake.script({"method": "GET", "path": self.content_path(remote_id)}, cut)
        with pytest.raises(ProviderUnavailableError) as caught:
            read(driver, remote_id)
        assert (caught.value.provider, caught.value.operation) == ("the-account", "content")

    def content_path(self, remote_id: str) -> str:
        """Return a pattern for the path that answers with the file's bytes."""
        return "/content$"

    def test_compressed_content_is_refused(self, fake: FakeProvider) -> None:
        driver, remote_id = self.make(fake), self.plant(fake)
        if not self.supported(driver, Operation.CONTENT):
            pytest.skip("the provider gives no content")
        bomb = behaviours.gzip_bomb(10_000_000)
        fake.script({"method": "GET", "path": self.content_path(remote_id)}, bomb)
        with pytest.raises(InvalidResponseError):
            read(driver, remote_id)
        assert all(each.headers.get("Accept-Encoding") == "identity" for each in fake.requests)

    def test_a_range_is_honoured_or_the_whole_file_comes(self, fake: FakeProvider) -> None:
        driver, remote_id = self.make(fake), self.plant(fake)
        if not self.supported(driver, Operation.CONTENT):
            pytest.skip("the provider gives no content")
        download = driver.download_file(remote_id, byte_range=ByteRange(10, 19))
        content = b"".join(download.chunks)
        download.close()
        if driver.capabilities.ranges:
            assert (content, download.content_range) == (self.content[10:20], (10, 19, len(self.content)))
        else:
            assert (content, download.content_range) == (self.content, None)

    # The door

    def test_each_operation_is_metered_once(self, fake: FakeProvider) -> None:
        driver, remote_id = self.make(fake), self.plant(fake)
        entered = metered(driver)
        for operation in self.supported(driver, *Operation):
            self.call(driver, operation, remote_id)
            assert entered == [(self.driver, operation)]
            entered.clear()

    def test_an_operation_that_fails_is_metered_once(self, fake: FakeProvider) -> None:
        driver, remote_id = self.make(fake), self.plant(fake)
        entered = metered(driver)
        fake.script(EVERY, behaviours.fail(500))
        for operation in self.supported(driver, *Operation):
            with pytest.raises(ProviderError) as caught:
                self.call(driver, operation, remote_id)
            assert (caught.value.provider, caught.value.operation) == ("the-account", operation)
            assert entered == [(self.driver, operation)]
            entered.clear()

    # Credentials

    def test_a_redirect_gets_no_credentials(self, fake: FakeProvider) -> None:
        driver, remote_id = self.make(fake), self.plant(fake)
        fake.script(
            {"times": None, "path": f"^(?!{TRAP})"}, behaviours.redirect(f"{fake.storage_root}{TRAP}")
        )
        for operation in self.supported(driver, *Operation):
            with pytest.raises(ProviderError):
                self.call(driver, operation, remote_id)
        fake.wait_until_idle()
        trapped = [each for each in fake.requests if each.path == TRAP]
        secrets = [value for value in self.credentials.values() if value]
        assert not any(
            secret in value for each in trapped for _, value in each.headers.pairs for secret in secrets
        )
        assert all(each.method in {"GET", "HEAD"} for each in trapped), "only a download may be redirected"

    def test_no_credential_is_ever_shown(self, fake: FakeProvider) -> None:
        """A provider that repeats the key in its answer is the worst case."""
        credentials = {name: f"{CANARY}-{name}" for name in self.credentials}
        transport = PatientTransport(LOOPBACK)
        account = self.config(self.url(fake), credentials=credentials, transport=transport)
        driver = build_driver(self.driver, account)
        shown = [repr(driver), str(driver), repr(account), repr(driver.capabilities), repr(transport)]
        told = {"error": {"message": f"bad key {CANARY}-api_key, {list(credentials.values())}", "code": "x"}}
        for behaviour in (behaviours.answer(401, json_body=told), behaviours.answer(200, json_body=told)):
            fake.script(EVERY, behaviour)
            for operation in self.supported(driver, *Operation):
                try:
                    self.call(driver, operation, "file-1")
                except ProviderError as exc:
                    shown += [str(exc), repr(exc), repr(vars(exc)), *traceback.format_exception(exc)]
            fake.app.scripted.clear()
        assert len(shown) > 5
        assert [text for text in shown if CANARY in text] == []
