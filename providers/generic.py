"""The members of the OpenAI-compatible family, and the driver for any other server that speaks its API.

Facts were read on 2026-11-23 where a `Capabilities` does not say otherwise. "MB" in a vendor's text is taken
for 2^20 bytes, unless that is more than another page of the same vendor allows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final, Literal

from providers.base import AccountConfig, Setting
from providers.errors import ErrorDetails
from providers.exceptions import (
    CredentialsError,
    FileRejectedError,
    ProviderConfigurationError,
    ProviderError,
)
from providers.http_driver import check_header_value
from providers.objects import (
    ALL_OPERATIONS,
    BODY_BATCH_LINES,
    INPUT_PURPOSES,
    Capabilities,
    ExpiresAfterPart,
    Expiry,
    GiB,
    JSONObject,
    MiB,
    Operation,
    Upload,
    UploadPart,
)
from providers.openai_compatible import Dialect, OpenAICompatibleDriver
from providers.transports.http import Response
from providers.transports.multipart import FormPart

CHECKED: Final = "2026-11-23"
JSONL: Final = (".jsonl",)
DAY_SECONDS: Final = 86_400

API_KEY: Final = Setting("api_key", "API key", secret=True, required=True)


def base_url_setting(default: str) -> Setting:
    """Return the option for the endpoint of a member that has one of its own."""
    return Setting("base_url", "Base URL", "Everything up to, not including, /files.", "url", default=default)


class MemberDriver(OpenAICompatibleDriver):
    """A member with a fixed capability row, an endpoint of its own and an API key."""

    credentials = (API_KEY,)


class OpenAIDriver(MemberDriver):
    """OpenAI Files API. The size limits, defaults and shapes that the family follows are from here."""

    name = "openai"
    label = "OpenAI"
    docs_url = "https://developers.openai.com/api/reference/resources/files"
    options = (
        base_url_setting("https://api.openai.com/v1"),
        Setting("organization", "Organization", "Sent as OpenAI-Organization."),
        Setting("project", "Project", "Sent as OpenAI-Project; without it the key's own project is used."),
    )
    capabilities = Capabilities(
        max_bytes=512 * MiB,
        max_bytes_by_purpose={"batch": 200 * MiB},
        extensions={"batch": JSONL, "fine-tune": JSONL},
        expiry=Expiry(native=True),
        paging="after",
        source=docs_url,
        checked=CHECKED,
    )
    # A page of 10,000, the most that is allowed, could exceed the cap on an answer's size.
    dialect = Dialect(page_size=1_000)

    def check_configuration(self) -> None:
        super().check_configuration()
        for name in ("organization", "project"):
            check_header_value(self.text_option(name), field=name)

    def auth_headers(self) -> dict[str, str]:
        named = {
            "OpenAI-Organization": self.text_option("organization"),
            "OpenAI-Project": self.text_option("project"),
        }
        return super().auth_headers() | {name: value for name, value in named.items() if value}


class GroqDriver(MemberDriver):
    """Groq: files for batches only. Keys on the free plan get a 403, whose message is passed on."""

    name = "groq"
    label = "Groq"
    docs_url = "https://console.groq.com/docs/api-reference"
    options = (base_url_setting("https://api.groq.com/openai/v1"),)
    capabilities = Capabilities(
        purposes={"batch": "batch"},
        max_bytes=100 * MiB,
        extensions={"batch": JSONL},
        source=docs_url,
        checked=CHECKED,
    )


class XAIDriver(MemberDriver):
    """xAI. The form is read as a stream, so text fields must precede the file."""

    name = "xai"
    label = "xAI"
    docs_url = "https://docs.x.ai/developers/rest-api-reference/files"
    options = (base_url_setting("https://api.x.ai/v1"),)
    capabilities = Capabilities(
        max_bytes=48_000_000,  # the guide says 48 MB, the reference 50 MB
        extensions={"batch": JSONL, "fine-tune": JSONL},
        expiry=Expiry(native=True),
        paging="token",
        text_fields_first=True,
        source=docs_url,
        checked=CHECKED,
    )
    dialect = Dialect(page_size=100, list_query={"order": "desc"})

    def upload_filename(self, filename: str) -> str:
        """Leave out what xAI refuses in a name: control characters, line ends, `"`, `;` and `\\`."""
        kept = "".join(
            c for c in filename if c not in '";\\\u2028\u2029\x85' and ord(c) >= 32 and c != "\x7f"
        )
        return kept[:255] or "file"

    def error_kind(
        self, operation: Operation, status: int, details: ErrorDetails
    ) -> type[ProviderError] | None:
        """Recognise a bad key, which xAI answers with 400 (read 2026-11-23)."""
        is_bad_key = status == 400 and "api key" in (details.message or "").lower()
        return CredentialsError if is_bad_key else super().error_kind(operation, status, details)


class CerebrasDriver(MemberDriver):
    """Cerebras: files for batches, in private preview."""

    name = "cerebras"
    label = "Cerebras"
    docs_url = "https://inference-docs.cerebras.ai/api-reference/file/upload-file"
    options = (base_url_setting("https://api.cerebras.ai/v1"),)
    capabilities = Capabilities(
        purposes={"batch": "batch"},
        max_bytes=200 * MiB,
        extensions={"batch": JSONL},
        expiry=Expiry(native=True, default_seconds=7 * DAY_SECONDS),
        paging="after",
        source=docs_url,
        checked=CHECKED,
    )
    dialect = Dialect(page_size=100)

    def error_from(self, response: Response, operation: Operation) -> ProviderError:
        """Say what a 403 or 404 of a whole route most likely means."""
        error = super().error_from(response, operation)
        if response.status in {403, 404} and operation in {Operation.CREATE, Operation.LIST}:
            error.message += " (Cerebras' file API is a private preview: the key may have no access to it.)"
            error.args = (error.message,)
        return error


class DeepInfraDriver(MemberDriver):
    """DeepInfra: files for batches. How its list pages is not documented: only `has_more` is trusted."""

    name = "deepinfra"
    label = "DeepInfra"
    docs_url = "https://docs.deepinfra.com/batch/file-endpoints"
    options = (base_url_setting("https://api.deepinfra.com/v1/openai"),)
    capabilities = Capabilities(
        purposes={"batch": "batch"},
        output_purposes={"batch-output": "batch_output"},
        max_bytes=200 * MiB,
        extensions={"batch": JSONL},
        expiry=Expiry(native=True, default_seconds=30 * DAY_SECONDS),
        paging="after",
        source=docs_url,
        checked=CHECKED,
    )


class MistralDriver(MemberDriver):
    """Mistral. Its `expiry` field is not sent, since its unit is documented nowhere."""

    name = "mistral"
    label = "Mistral"
    docs_url = "https://docs.mistral.ai/api/endpoint/files"
    options = (base_url_setting("https://api.mistral.ai/v1"),)
    capabilities = Capabilities(
        purposes={
            "batch": "batch",
            "fine-tune": "fine-tune",
            # That documents and images go to `ocr` is our choice, not a documented equivalence.
            **dict.fromkeys(("user_data", "assistants", "vision"), "ocr"),
        },
        output_purposes={"ocr": "user_data", "audio": "user_data"},
        max_bytes=512 * MiB,
        extensions={"batch": JSONL, "fine-tune": JSONL},
        expiry=Expiry(default_seconds=30 * DAY_SECONDS),
        paging="page",
        batch_lines=(BODY_BATCH_LINES,),
        source=docs_url,
        checked=CHECKED,
    )
    dialect = Dialect(page_size=100)
    # Ids are declared as UUIDs; anything else is most likely refused with 422 instead of 404.
    missing_statuses = frozenset({404, 410, 422})

    def output_purpose(self, body: JSONObject) -> str | None:
        """Tell the results of batches from their inputs, which have the same purpose."""
        if body.get("sample_type") in {"batch_result", "batch_error"}:
            return "batch_output"
        return super().output_purpose(body)


@dataclass(frozen=True, slots=True)
class Flavor:
    """One documented server of the family that needs no class: an endpoint and how it differs."""

    label: str
    base_url: str
    capabilities: Capabilities
    dialect: Dialect = field(default_factory=Dialect)


_row = partial(Capabilities, checked=CHECKED)

#: Documents and images as `file-extract` and `image`, as Moonshot and DashScope call them.
_EXTRACT = dict.fromkeys(("user_data", "assistants"), "file-extract")
_EXTRACT_OUT = {"file-extract": "user_data"}
_BATCH = {"batch": "batch"}
_JSONL = {"batch": JSONL, "fine-tune": JSONL}
_NO_CONTENT = ALL_OPERATIONS - {Operation.CONTENT}
_NOVITA = _row(
    purposes=_BATCH,
    extensions=_JSONL,
    expiry=Expiry(default_seconds=15 * DAY_SECONDS),
    source="https://novita.ai/docs/api-reference/model-apis-llm-list-files",
)
_ARK = _row(
    operations=_NO_CONTENT,
    purposes={"user_data": "user_data"},
    max_bytes=512 * MiB,
    expiry=Expiry(native=True, min_seconds=DAY_SECONDS, default_seconds=7 * DAY_SECONDS),
    paging="after",
    missing_reasons={Operation.CONTENT: "Files can only be used in requests to its models."},
    source="https://www.volcengine.com/docs/82379",
)

#: Servers that the driver `openai-compatible` knows by name. A row may be corrected by options.
FLAVORS: Final[Mapping[str, Flavor]] = {
    "ark": Flavor(
        "Volcengine Ark",
        "https://ark.cn-beijing.volces.com/api/v3",
        _ARK,
        Dialect(page_size=100, expiry_field="expire_at"),
    ),
    "byteplus": Flavor(
        "BytePlus ModelArk",
        "https://ark.ap-southeast.bytepluses.com/api/v3",
        _ARK,
        Dialect(page_size=100, expiry_field="expire_at"),
    ),
    "dashscope": Flavor(
        "DashScope",
        "https://dashscope.aliyuncs.com/compatible-mode/v1",
        _row(
            purposes={**_BATCH, "fine-tune": "fine-tune", **_EXTRACT},
            output_purposes=_EXTRACT_OUT,
            max_bytes=500 * MiB,
            max_bytes_by_purpose={
                "fine-tune": 300 * MiB,
                **dict.fromkeys(_EXTRACT, 150 * MiB),
            },
            extensions=_JSONL,
            paging="after",
            source="https://www.alibabacloud.com/help/tc/model-studio/openai-file-interface",
        ),
        Dialect(page_size=100),
    ),
    "deepseek": Flavor(
        "DeepSeek",
        "https://api.deepseek.com",
        _row(
            operations=_NO_CONTENT,
            purposes={"user_data": "user_data", "vision": "user_data", "assistants": "text_recognition"},
            output_purposes={
                "user_data": "user_data",
                "text_recognition": "assistants",
                "rich_layout_recognition": "assistants",
            },
            max_bytes=100 * MiB,
            max_bytes_by_purpose={"user_data": 64 * MiB, "vision": 64 * MiB},
            expiry=Expiry(native=True),
            paging="after",
            text_fields_first=True,
            missing_reasons={Operation.CONTENT: "Its reference documents no way to read a file back."},
            source="https://api-docs.deepseek.com/guides/files_api",
        ),
        Dialect(page_size=1_000),
    ),
    "moonshot": Flavor(
        "Moonshot",
        "https://api.moonshot.ai/v1",
        _row(
            content="extracted",  # of `file-extract` files only; it answers 400 for others
            purposes={**_BATCH, **_EXTRACT, "vision": "image"},
            output_purposes={**_EXTRACT_OUT, "image": "vision", "video": "vision"},
            max_bytes=100 * MiB,
            extensions={"batch": JSONL},
            source="https://platform.kimi.ai/docs/api/files-upload",
        ),
    ),
    "morph": Flavor(
        "Morph",
        "https://api.morphllm.com/v1",
        _row(
            purposes=_BATCH,
            max_bytes=100 * MiB,
            extensions=_JSONL,
            paging="after",
            source="https://docs.morphllm.com",
        ),
    ),
    "nebius": Flavor(
        "Nebius Token Factory",
        "https://api.tokenfactory.nebius.com/v1",
        _row(
            purposes={**_BATCH, "fine-tune": "fine-tune"},
            max_bytes=10 * GiB,
            extensions=_JSONL,
            paging="after",
            source="https://docs.tokenfactory.nebius.com",
        ),
    ),
    "novita": Flavor("Novita", "https://api.novita.ai/openai/v1", _NOVITA, Dialect(success_code="200")),
    "ogx": Flavor(
        "OGX",
        "",
        _row(expiry=Expiry(native=True), paging="after", source="https://github.com/ogx-ai/ogx"),
        Dialect(page_size=1_000),
    ),
    "openrouter": Flavor(
        "OpenRouter",
        "https://openrouter.ai/api/v1",
        _row(
            purposes=dict.fromkeys(INPUT_PURPOSES, ""),  # its form has no such field
            paging="after",
            source="https://openrouter.ai/docs/api-reference/files",
        ),
        Dialect(page_size=1_000),
    ),
    "perplexity": Flavor(
        "Perplexity",
        "https://api.perplexity.ai/v1",
        _row(
            purposes=_BATCH,
            max_bytes=200 * MiB,
            extensions=_JSONL,
            expiry=Expiry(default_seconds=30 * DAY_SECONDS),  # it answers 400 to `expires_after`
            paging="after",
            source="https://docs.perplexity.ai",
        ),
        Dialect(page_size=100),
    ),
    "ppio": Flavor("PPIO", "https://api.ppio.com/openai/v1", _NOVITA, Dialect(success_code="200")),
    "siliconflow": Flavor(
        "SiliconFlow",
        "https://api.siliconflow.cn/v1",
        _row(
            operations=frozenset({Operation.CREATE, Operation.LIST, Operation.RETRIEVE}),
            purposes=_BATCH,
            extensions=_JSONL,
            missing_reasons=dict.fromkeys(
                (Operation.CONTENT, Operation.DELETE), "Its reference documents uploads and lists only."
            ),
            source="https://docs.siliconflow.cn/cn/api-reference/batch/get-file-list.md",
        ),
        # Its list has no cursor and returns 10 unless asked for more; it insists on a purpose.
        Dialect(
            page_size=1_000, list_query={"purpose": "batch"}, success_code="20000", emulates_retrieve=True
        ),
    ),
    "zhipu": Flavor(
        "Zhipu",
        "https://open.bigmodel.cn/api/paas/v4",
        _row(
            purposes={
                **_BATCH,
                "fine-tune": "fine-tune",
                **dict.fromkeys(("user_data", "assistants"), "agent"),
            },
            output_purposes={"agent": "user_data", "retrieval": "user_data", "code-interpreter": "user_data"},
            max_bytes=100 * MiB,
            extensions=_JSONL,
            expiry=Expiry(default_seconds=180 * DAY_SECONDS),
            paging="after",
            source="https://docs.bigmodel.cn",
        ),
        Dialect(page_size=100, list_query={"order": "created_at"}, emulates_retrieve=True),
    ),
}


_PAGING: Final[tuple[Literal["none", "after", "token", "page"], ...]] = ("none", "after", "token", "page")
_EXPIRY_CHOICES: Final = ("pass", "emulate", "reject")
_HEADER_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_OWN_HEADERS: Final = frozenset(
    {"authorization", "connection", "content-length", "content-type", "cookie", "host", "range"}
    | {"te", "trailer", "transfer-encoding", "upgrade", "accept-encoding", "expect"}
)


class GenericDriver(OpenAICompatibleDriver):
    """Any server that speaks OpenAI's Files API: a flavor from the table, or one described by options.

    Its capabilities and dialect depend on the account; those of the class are what holds without options.
    """

    name = "openai-compatible"
    label = "OpenAI-compatible server"
    options = (
        Setting(
            "base_url", "Base URL", "Everything up to, not including, /files. A flavor may know it.", "url"
        ),
        Setting("flavor", "Flavor", "A documented server, to start from.", choices=tuple(FLAVORS)),
        Setting("api_key_header", "Key header", "Name of the header that takes the bare key, not a bearer."),
        Setting("extra_headers", "Extra headers", "Sent with every request.", "mapping"),
        Setting("extra_query", "Extra query", "Sent with every request.", "mapping"),
        Setting("operations", "Operations", "What the server has, where it lacks some.", "list"),
        Setting("purposes", "Purposes", "OpenAI's purpose -> the server's.", "mapping"),
        Setting("paging", "Paging", "How its list pages.", choices=_PAGING),
        Setting("page_size", "Page size", "How many files to ask for at a time.", "integer"),
        Setting("max_bytes", "Largest file", "In bytes.", "integer"),
        Setting(
            "expires_after",
            "Expiry",
            "pass it on, emulate it by a delete when the file is due, or reject uploads that ask for it.",
            choices=_EXPIRY_CHOICES,
        ),
        Setting("text_fields_first", "Text fields first", "The file must be the last field.", "boolean"),
    )
    credentials = (replace(API_KEY, required=False),)
    capabilities = _row(paging="after", source=OpenAIDriver.docs_url)

    def __init__(self, account: AccountConfig) -> None:
        super().__init__(account)
        row = self._flavor()
        self.label = row.label  # type: ignore[misc]  # a flavor is better known by its own name
        self.capabilities = self._capabilities(row.capabilities)
        self.dialect = self._dialect(row.dialect)

    @property
    def base_url(self) -> str:
        return super().base_url or self._flavor().base_url

    def check_configuration(self) -> None:
        super().check_configuration()
        for setting in self.options:
            value = self.text_option(setting.name)
            if setting.choices and value and value not in setting.choices:
                raise _bad(setting.name, f"must be one of: {', '.join(setting.choices)}")
        if not self.base_url:
            raise _bad("base_url", "is needed")
        self._capabilities(self._flavor().capabilities)
        self._dialect(Dialect())
        if header := self.text_option("api_key_header"):
            _check_header_name(header, field="api_key_header")

    def auth_headers(self) -> dict[str, str]:
        key, header = self.account.credentials.get("api_key"), self.text_option("api_key_header")
        if not key:
            return {}
        return {header: key} if header else {"Authorization": f"Bearer {key}"}

    def _translated_part(self, part: UploadPart, upload: Upload) -> Iterator[FormPart]:
        if isinstance(part, ExpiresAfterPart) and self.text_option("expires_after") == "reject":
            raise FileRejectedError(
                f"{self.label} takes no files that expire.",
                provider=self.account.name,
                operation=Operation.CREATE,
                param="expires_after",
            )
        return super()._translated_part(part, upload)

    def _flavor(self) -> Flavor:
        plain = Flavor(type(self).label, "", type(self).capabilities)
        return FLAVORS.get(self.text_option("flavor"), plain)

    def _capabilities(self, row: Capabilities) -> Capabilities:
        """Return a row as the account's options change it. Raises ProviderConfigurationError."""
        if operations := _texts(self.option("operations"), "operations", known=tuple(Operation)):
            row = replace(row, operations=frozenset(map(Operation, operations)))
        if purposes := _pairs(self.option("purposes"), "purposes"):
            _texts(list(purposes), "purposes", known=INPUT_PURPOSES)
            row = replace(row, purposes=purposes)
        for paging in _PAGING:
            if paging == self.text_option("paging"):
                row = replace(row, paging=paging)
        if max_bytes := _positive(self.option("max_bytes"), "max_bytes"):
            row = replace(row, max_bytes=max_bytes, max_bytes_by_purpose={})
        if expires_after := self.text_option("expires_after"):
            row = replace(row, expiry=replace(row.expiry, native=expires_after == "pass"))
        if _truth(self.option("text_fields_first"), "text_fields_first"):
            row = replace(row, text_fields_first=True)
        return row

    def _dialect(self, row: Dialect) -> Dialect:
        headers = _pairs(self.option("extra_headers"), "extra_headers")
        for name, value in headers.items():
            _check_header_name(name, field="extra_headers")
            check_header_value(value, field="extra_headers")
        page_size = _positive(self.option("page_size"), "page_size") or row.page_size
        needs_size = self.text_option("paging") in {"token", "page"}
        return replace(
            row,
            headers=headers,
            query=_pairs(self.option("extra_query"), "extra_query"),
            page_size=page_size or (100 if needs_size else None),
            expiry_field="" if self.text_option("expires_after") == "emulate" else row.expiry_field,
        )


def _bad(field: str, problem: str) -> ProviderConfigurationError:
    return ProviderConfigurationError(f"'{field}' {problem}.", field=field)


def _check_header_name(name: str, *, field: str) -> None:
    if not _HEADER_NAME.fullmatch(name) or name.lower() in _OWN_HEADERS:
        raise _bad(field, f"cannot set the header {name!r}")


def _pairs(value: object, field: str) -> dict[str, str]:
    """Return an option of kind mapping as texts; a number or a boolean is written as JSON has it."""
    if value is None:
        return {}
    if not isinstance(value, Mapping) or not all(isinstance(v, str | int) for v in value.values()):
        raise _bad(field, "must map names to texts")
    return {str(k): str(v).lower() if isinstance(v, bool) else str(v) for k, v in value.items()}


def _texts(value: object, field: str, *, known: tuple[str, ...]) -> list[str]:
    if value is None:
        return []
    if not isinstance(value, list | tuple) or not set(map(str, value)) <= set(known):
        raise _bad(field, f"must be a list of: {', '.join(known)}")
    return [str(each) for each in value]


def _positive(value: object, field: str) -> int | None:
    if value is None:
        return None
    if (
        isinstance(value, bool)
        or not isinstance(value, int | str)
        or not re.fullmatch("[1-9][0-9]*", str(value))
    ):
        raise _bad(field, "must be a positive whole number")
    return int(value)


def _truth(value: object, field: str) -> bool:
    if value in (None, True, False):
        return bool(value)
    raise _bad(field, "must be true or false")
