"""Azure OpenAI: two dialects, and a key or Entra ID."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from providers.azure import AzureOpenAIDriver
from providers.exceptions import (
    CredentialsError,
    FileRejectedError,
    InvalidResponseError,
    ProviderConfigurationError,
    RemoteFileNotFoundError,
)
from providers.objects import RemoteFile
from tests.fake_provider import FakeProvider
from tests.providers.compatible_contract import FamilyContract, FamilyRow, build
from tests.providers.transport import Answer, Sent
from tests.providers.uploads import UploadSource
from tests.providers.wire import Error

ENDPOINT = "https://contoso.openai.azure.com"
ENTRA = {"tenant_id": "tenant-1", "client_id": "client-1", "client_secret": "s3cret&more"}
EMPTY_LIST = Answer({"object": "list", "data": []})
FILE = RemoteFile(
    remote_id="file-9b1c0d5e7a4f4f0c9d3e",
    created_at=datetime.fromtimestamp(1_795_400_000, UTC),
    filename="march-run.jsonl",
    purpose="batch",
    status="uploaded",
)


class AzureRow(FamilyRow):
    driver = "azure-openai"
    url_option = "endpoint"
    expected = {
        "create-dated": FILE,
        "retrieve-v1": replace(FILE, bytes=1482, expires_at=datetime.fromtimestamp(1_795_486_400, UTC)),
        "retrieve-deleted": Error(RemoteFileNotFoundError, "Azure OpenAI does not have this file."),
        "retrieve-missing": Error(RemoteFileNotFoundError, "not found", "notFound"),
        "list-dated": (FILE.remote_id,),
        "delete-file": None,
        "create-bad-purpose": Error(FileRejectedError, "Invalid value for purpose.", "invalidPayload"),
    }

    def url(self, fake: FakeProvider) -> str:
        return f"{fake.root}/azure"


class TestV1(AzureRow, FamilyContract):
    dialect = "azure_v1"
    unknown_type = "application/octet-stream"  # a part without a type would be refused


class TestDated(AzureRow):
    dialect = "azure"
    options = {"api_version": "2024-10-21"}
    size_path = ""  # its answer to an upload has none

    def test_every_request_names_the_version(self, fake: FakeProvider) -> None:
        driver = self.make(fake)
        driver.delete_file(driver.create_file(self.source().upload).remote_id)
        assert [each.query for each in fake.requests] == [{"api-version": ["2024-10-21"]}] * 2

    def test_no_expiry_is_sent(self, fake: FakeProvider) -> None:
        self.make(fake).create_file(self.source(expires_after_seconds=86_400).upload)
        (request,) = fake.requests
        assert request.part_names == ["purpose", "file"]


@pytest.mark.parametrize(
    ("endpoint", "version", "path"),
    [
        (ENDPOINT, "v1", "/openai/v1/files"),
        (f"{ENDPOINT}/", "preview", "/openai/v1/files"),
        (f"{ENDPOINT}/openai/", "2024-10-21", "/openai/files"),
        (f"{ENDPOINT}/openai/v1", "v1", "/openai/v1/files"),
        (f"{ENDPOINT}/openai/v1/", "2024-10-21", "/openai/files"),
        ("https://gateway.example/team/azure", "v1", "/team/azure/openai/v1/files"),
    ],
)
def test_an_endpoint_may_be_given_with_or_without_its_path(endpoint: str, version: str, path: str) -> None:
    options = {"endpoint": endpoint, "api_version": version}
    driver, wire = build(AzureOpenAIDriver, EMPTY_LIST, options=options)
    driver.list_files()
    assert wire.sent[0].path == path
    assert wire.sent[0].query.get("api-version") == (None if version == "v1" else version)


def test_both_dialects_show_the_same_files() -> None:
    drivers = [
        build(AzureOpenAIDriver, Answer(), options={"endpoint": ENDPOINT, "api_version": version})[0]
        for version in ("v1", "2024-10-21")
    ]
    assert drivers[0].location().equal(drivers[1].location())


def test_the_request_id_is_azures() -> None:
    refusal = Answer({"error": {"code": "conflict"}}, 400, {"apim-request-id": "apim-7"})
    driver, _ = build(AzureOpenAIDriver, refusal, options={"endpoint": ENDPOINT})
    with pytest.raises(FileRejectedError) as caught:
        driver.list_files()
    assert caught.value.request_id == "apim-7"


@pytest.mark.parametrize("value", [0, "three days", True])
def test_a_least_expiry_is_a_number_of_seconds(value: object) -> None:
    options = {"endpoint": ENDPOINT, "min_expiry_seconds": value}
    with pytest.raises(ProviderConfigurationError) as caught:
        build(AzureOpenAIDriver, Answer(), options=options)
    assert caught.value.field == "min_expiry_seconds"


@pytest.mark.parametrize(
    ("credentials", "field"),
    [
        ({}, "api_key"),
        ({"tenant_id": "t", "client_id": "c"}, "client_secret"),
        ({"client_secret": "s"}, "tenant_id"),
        ({"api_key": "k", "tenant_id": "t"}, "tenant_id"),
    ],
)
def test_it_takes_a_key_or_entra_but_not_both(credentials: dict[str, str], field: str) -> None:
    with pytest.raises(ProviderConfigurationError) as caught:
        build(AzureOpenAIDriver, Answer(), options={"endpoint": ENDPOINT}, credentials=credentials)
    assert caught.value.field == field


class Entra:
    """Gives out numbered tokens, and a file API that takes only those in `good`."""

    def __init__(self, *, seconds: int = 3_600) -> None:
        self.seconds = seconds
        self.issued = 0
        self.revoked: set[str] = set()

    def __call__(self, sent: Sent) -> Answer:
        if sent.path.endswith("/token"):
            self.issued += 1
            return Answer({"access_token": f"token-{self.issued}", "expires_in": self.seconds})
        token = sent.headers["Authorization"].removeprefix("Bearer ")
        assert "api-key" not in sent.headers
        return Answer({"error": {"code": "unauthorized"}}, 401) if token in self.revoked else EMPTY_LIST


def entra_driver(entra: Entra | Answer, **options: object) -> tuple[AzureOpenAIDriver, list[Sent]]:
    driver, wire = build(
        AzureOpenAIDriver, entra, options={"endpoint": ENDPOINT, **options}, credentials=ENTRA
    )
    return driver, wire.sent


class TestEntra:
    def test_a_token_is_asked_for_once(self) -> None:
        driver, sent = entra_driver(Entra())
        for _ in range(3):
            driver.list_files()
        assert sent[0].url == "https://login.microsoftonline.com/tenant-1/oauth2/v2.0/token"
        assert sent[0].text == (
            "grant_type=client_credentials&client_id=client-1&client_secret=s3cret%26more"
            "&scope=https%3A%2F%2Fcognitiveservices.azure.com%2F.default"
        )
        assert [each.headers["Authorization"] for each in sent[1:]] == ["Bearer token-1"] * 3

    def test_the_authority_is_an_option(self) -> None:
        driver, sent = entra_driver(Entra(), authority="https://login.example/")
        driver.list_files()
        assert sent[0].url.startswith("https://login.example/tenant-1/")

    def test_a_token_about_to_end_is_renewed(self) -> None:
        entra = Entra(seconds=299)
        driver, _ = entra_driver(entra)
        driver.list_files()
        driver.list_files()
        assert entra.issued == 2

    def test_a_refused_token_is_renewed_once(self) -> None:
        entra = Entra()
        entra.revoked = {"token-1"}
        driver, sent = entra_driver(entra)
        driver.list_files()
        assert [each.headers.get("Authorization") for each in sent] == [
            None,
            "Bearer token-1",
            None,
            "Bearer token-2",
        ]

    def test_a_refused_token_is_not_renewed_for_ever(self) -> None:
        entra = Entra()
        entra.revoked = {"token-1", "token-2", "token-3"}
        driver, _ = entra_driver(entra)
        with pytest.raises(CredentialsError):
            driver.list_files()
        assert entra.issued == 2

    def test_an_upload_is_not_repeated_with_a_new_token(self) -> None:
        entra = Entra()
        entra.revoked = {"token-1"}
        driver, sent = entra_driver(entra)
        with pytest.raises(CredentialsError):
            driver.create_file(UploadSource(b"x").upload)
        assert len(sent) == 2
        driver.list_files()
        assert entra.issued == 2

    def test_a_token_that_was_given_up_is_shown_by_no_error(self) -> None:
        def quoting(sent: Sent) -> Answer:
            if sent.path.endswith("/token"):
                return Answer({"access_token": "opaque-token-of-entra", "expires_in": 3_600})
            return Answer({"error": {"message": sent.headers["Authorization"].split()[1]}}, 401)

        driver, _ = build(AzureOpenAIDriver, quoting, options={"endpoint": ENDPOINT}, credentials=ENTRA)
        with pytest.raises(CredentialsError) as caught:
            driver.create_file(UploadSource(b"x").upload)
        assert "opaque-token-of-entra" not in caught.value.message

    def test_threads_share_a_token(self) -> None:
        entra = Entra()
        driver, _ = entra_driver(entra)
        barrier = threading.Barrier(8)

        def call(_: int) -> None:
            barrier.wait()
            driver.list_files()

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(call, range(8)))
        assert entra.issued == 1

    @pytest.mark.parametrize("status", [400, 401])
    def test_a_wrong_secret_is_a_credentials_error(self, status: int) -> None:
        driver, _ = entra_driver(Answer({"error": "invalid_client", "error_description": "no"}, status))
        with pytest.raises(CredentialsError, match="invalid_client") as caught:
            driver.list_files()
        assert "s3cret" not in str(caught.value)

    @pytest.mark.parametrize("body", [{}, {"access_token": "t"}, {"access_token": 1, "expires_in": 9}])
    def test_an_answer_without_a_token_is_invalid(self, body: dict[str, object]) -> None:
        driver, _ = entra_driver(Answer(body))
        with pytest.raises(InvalidResponseError):
            driver.list_files()
