"""Any other server of the family: the documented flavors, and options for one that nobody documented."""

from __future__ import annotations

import time

import pytest

from providers.exceptions import FileRejectedError, ProviderConfigurationError, RemoteFileNotFoundError
from providers.flavors import FLAVORS
from providers.generic import GenericDriver
from providers.objects import Operation
from tests.fake_provider import FakeProvider
from tests.providers.compatible_contract import FamilyContract, FamilyRow, build
from tests.providers.transport import Answer
from tests.providers.uploads import UploadSource

URL = "https://files.example/v1"


class TestPlain(FamilyContract):
    """A server without a flavor, here one that speaks as OpenAI does."""

    driver = "openai-compatible"
    dialect = "openai"
    recorded_in = "none"


class FlavorContract(FamilyRow):
    """A row of the table: the driver has passed the rest of the contract."""

    driver = "openai-compatible"
    recorded_in = "none"


class TestMoonshot(FlavorContract):
    dialect = "moonshot"
    options = {"flavor": "moonshot"}
    purpose = "user_data"
    planted_purpose = "file-extract"


class TestDashScope(FlavorContract):
    dialect = "dashscope"
    options = {"flavor": "dashscope"}


class TestZhipu(FlavorContract):
    dialect = "zhipu"
    options = {"flavor": "zhipu"}

    def test_a_file_is_found_on_a_later_page(self, fake: FakeProvider) -> None:
        planted = [self.plant(fake, created_at=1_795_000_000 + number) for number in range(7)]
        driver = self.make_with_small_pages(fake)
        assert [driver.retrieve_file(each).remote_id for each in planted] == planted
        with pytest.raises(RemoteFileNotFoundError):
            driver.retrieve_file("file-none")


class TestSiliconFlow(FlavorContract):
    dialect = "siliconflow"
    options = {"flavor": "siliconflow"}
    id_path = "data.id"
    size_path = "data.bytes"

    def make_with_small_pages(self, fake: FakeProvider) -> GenericDriver:
        """Leave the page size: there is no cursor, so one page has to hold everything."""
        driver = self.make(fake)
        assert isinstance(driver, GenericDriver)
        return driver


class TestNovita(FlavorContract):
    dialect = "novita"
    options = {"flavor": "novita"}


class TestPerplexity(FlavorContract):
    dialect = "perplexity"
    options = {"flavor": "perplexity"}


class TestDeepSeek(FlavorContract):
    dialect = "deepseek"
    options = {"flavor": "deepseek"}
    purpose = "assistants"
    planted_purpose = "text_recognition"


class TestArk(FlavorContract):
    dialect = "ark"
    options = {"flavor": "ark"}
    purpose = "user_data"
    planted_purpose = "user_data"

    def test_expiry_goes_out_as_a_moment(self, fake: FakeProvider) -> None:
        created = self.make(fake).create_file(self.source(expires_after_seconds=172_800).upload)
        assert created.expires_at
        assert created.expires_at.timestamp() == pytest.approx(time.time() + 172_800, abs=60)
        assert created.status == "uploaded"


class TestOpenRouter(FlavorContract):
    dialect = "openrouter"
    options = {"flavor": "openrouter"}
    size_path = "size_bytes"


@pytest.mark.parametrize("name", FLAVORS)
def test_every_flavor_is_complete(name: str) -> None:
    options = {"flavor": name} if FLAVORS[name].base_url else {"flavor": name, "base_url": URL}
    driver, _ = build(GenericDriver, Answer(), options=options)
    assert driver.label == FLAVORS[name].label
    assert driver.base_url.startswith("https://")
    assert driver.capabilities.source.startswith("https://")
    assert driver.capabilities.checked == "2026-11-23"


class TestOptions:
    def test_a_server_can_be_described_by_options(self) -> None:
        driver, wire = build(
            GenericDriver,
            [Answer({"data": [{"id": "a"}]}), Answer({"id": "b"})],
            options={
                "base_url": URL,
                "api_key_header": "X-Key",
                "extra_headers": {"X-Team": "blue"},
                "extra_query": {"tenant": 7, "beta": True},
                "purposes": {"batch": "jobs"},
                "operations": ["create", "list"],
                "paging": "page",
                "page_size": "1",
                "max_bytes": 10,
                "expires_after": "pass",
                "text_fields_first": True,
            },
        )
        assert driver.list_files(cursor="4").next_cursor == "5"
        driver.create_file(UploadSource(b"x", expires_after_seconds=3_600).upload)
        for sent in wire.sent:
            assert sent.headers["X-Key"] == "test-key"
            assert "Authorization" not in sent.headers
            assert sent.headers["X-Team"] == "blue"
            assert sent.query.items() >= {"tenant": "7", "beta": "true"}.items()
        assert wire.sent[0].query.items() >= {"page": "4", "page_size": "1"}.items()
        assert 'name="purpose"\r\n\r\njobs' in wire.sent[1].text
        assert 'name="expires_after[seconds]"\r\n\r\n3600' in wire.sent[1].text
        capabilities = driver.capabilities
        assert (capabilities.max_bytes, capabilities.text_fields_first) == (10, True)
        assert capabilities.operations == {Operation.CREATE, Operation.LIST}

    def test_without_a_key_nothing_is_claimed(self) -> None:
        driver, wire = build(GenericDriver, Answer({"data": []}), options={"base_url": URL}, credentials={})
        driver.list_files()
        assert "Authorization" not in wire.sent[0].headers

    def test_options_correct_a_flavor(self) -> None:
        driver, _ = build(GenericDriver, Answer(), options={"flavor": "ark", "expires_after": "emulate"})
        assert not driver.capabilities.expiry.native
        assert driver.dialect.expiry_field == ""
        assert FLAVORS["ark"].dialect.expiry_field == "expire_at", "the table is not touched"

    def test_an_expiry_can_be_rejected(self) -> None:
        driver, wire = build(GenericDriver, Answer(), options={"base_url": URL, "expires_after": "reject"})
        with pytest.raises(FileRejectedError) as caught:
            driver.create_file(UploadSource(b"x", expires_after_seconds=3_600).upload)
        assert caught.value.param == "expires_after"
        assert wire.sent == []

    @pytest.mark.parametrize(
        "options",
        [
            {},
            {"base_url": "files.example"},
            {"base_url": "file:///etc/passwd"},
            {"base_url": "https://user:pass@files.example"},
            {"base_url": "https://files.example/?a=b"},
            {"flavor": "unknown"},
            {"flavor": "ogx"},
            {"paging": "cursor"},
            {"expires_after": "maybe"},
            {"page_size": 0},
            {"page_size": True},
            {"page_size": "ten"},
            {"max_bytes": -1},
            {"purposes": {"letters": "x"}},
            {"purposes": ["batch"]},
            {"operations": "create"},
            {"operations": ["copy"]},
            {"extra_query": {"a": ["b"]}},
            {"extra_headers": {"Host": "other"}},
            {"extra_headers": {"authorization": "Bearer x"}},
            {"extra_headers": {"X-A": "b\r\nX-C: d"}},
            {"extra_headers": {"X A": "b"}},
            {"api_key_header": "Content-Length"},
            {"api_key_header": "X-Key:"},
            {"text_fields_first": "yes"},
            {"content_length": "yes"},
        ],
    )
    def test_an_option_that_makes_no_sense_is_refused(self, options: dict[str, object]) -> None:
        if options and not {"base_url", "flavor"} & set(options):
            options = {"base_url": URL, **options}
        with pytest.raises(ProviderConfigurationError) as caught:
            build(GenericDriver, Answer(), options=options)
        assert caught.value.field in {*options, "base_url"}
