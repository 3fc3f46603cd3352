"""The driver of any other server with OpenAI's shapes: one of `flavors`, or one that options describe."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from http import HTTPStatus
from typing import Final, Literal

from providers.base import AccountConfig, Setting
from providers.exceptions import FileRejectedError, ProviderConfigurationError, ProviderError
from providers.flavors import FLAVORS
from providers.http_driver import API_KEY
from providers.objects import (
    INPUT_PURPOSES,
    Capabilities,
    ExpiresAfterPart,
    Operation,
    Upload,
    UploadPart,
)
from providers.openai import OpenAIDriver
from providers.openai_compatible import CHECKED, Dialect, Member, OpenAICompatibleDriver
from providers.parsing import check_header_value, parse_positive
from providers.transports.http import Response
from providers.transports.multipart import FormPart

_rare = partial(Setting, rare=True)

_PAGING: Final[tuple[Literal["none", "after", "token", "page"], ...]] = ("none", "after", "token", "page")
_EXPIRY_CHOICES: Final = ("pass", "emulate", "reject")
_HEADER_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_SHORTEST_CREDENTIAL: Final = 8
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
            "base_url",
            "Base URL",
            "Up to and without /files: https://llm.example.com/v1. A known server has its own.",
            "url",
        ),
        Setting(
            "flavor",
            "Known server",
            "Brings the address, purposes and limits of a documented server; the options below correct it.",
            choices=tuple(FLAVORS),
        ),
        _rare(
            "api_key_header",
            "Key header",
            "Header that takes the key as it is, such as api-key. Empty: a bearer.",
        ),
        _rare(
            "extra_headers", "Extra headers", "Sent with every request, one `name: value` a line.", "mapping"
        ),
        _rare("extra_query", "Extra query", "Put behind every address, one `name: value` a line.", "mapping"),
        _rare(
            "operations",
            "Operations",
            f"All that the server has, where it lacks some of {', '.join(Operation)}.",
            "list",
        ),
        _rare(
            "purposes",
            "Purposes",
            "What it takes, and by what name: `batch: batch` a line, OpenAI's purpose first. Empty: all.",
            "mapping",
        ),
        _rare(
            "paging",
            "Paging",
            "How its list goes on: behind an id, by a token, by page, or not.",
            choices=_PAGING,
        ),
        _rare("page_size", "Page size", "How many files it is asked for at a time.", "integer"),
        _rare("max_bytes", "Largest file", "In bytes. Empty: the organization's limit alone.", "integer"),
        _rare(
            "expires_after",
            "Expiry",
            "pass it on, emulate it by a delete when the file is due, or reject uploads that ask for it.",
            choices=_EXPIRY_CHOICES,
        ),
        _rare(
            "text_fields_first", "Text fields first", "It wants the file as the form's last field.", "boolean"
        ),
        _rare(
            "content_length",
            "Content length",
            "The server takes no chunked uploads: hold each file on disk to announce its length.",
            "boolean",
        ),
    )
    credentials = (replace(API_KEY, required=False),)
    capabilities = Capabilities(paging="after", checked=CHECKED, source=OpenAIDriver.capabilities.source)

    def __init__(self, account: AccountConfig) -> None:
        super().__init__(account)
        row = self._flavor()
        self.label = row.label  # type: ignore[misc]  # a flavor is better known by its own name
        self.capabilities = self._capabilities(row.capabilities)
        self.dialect = self._dialect(row.dialect)

    @property
    def base_url(self) -> str:
        return super().base_url or self._flavor().base_url

    def endpoints(self) -> Mapping[str, str]:
        """The base URL, which a flavor may know."""
        return {"base_url": self.base_url}

    def origins(self) -> frozenset[str]:
        """The flavor counts too: it is another vendor."""
        return super().origins() | {f"flavor:{self.text_option('flavor')}"}

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

    def sent_values(self) -> Iterator[str]:
        """What an operator added may be a credential; a short value is a word, such as a version."""
        yield from super().sent_values()
        for value in (*self.dialect.headers.values(), *self.dialect.query.values()):
            if len(value) >= _SHORTEST_CREDENTIAL:
                yield value

    def form_parts(self, part: UploadPart, upload: Upload) -> Iterator[FormPart]:
        if isinstance(part, ExpiresAfterPart) and self.text_option("expires_after") == "reject":
            raise FileRejectedError(
                f"{self.label} takes no files that expire.",
                param="expires_after",
            )
        return super().form_parts(part, upload)

    def error_from(self, response: Response, operation: Operation) -> ProviderError:
        error = super().error_from(response, operation)
        if response.status == HTTPStatus.LENGTH_REQUIRED and operation == Operation.CREATE:
            error.message += " (It takes no chunked uploads: set the account's option 'content_length'.)"
            error.args = (error.message,)
        return error

    def _flavor(self) -> Member:
        plain = Member(type(self).label, "", type(self).capabilities)
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
        if max_bytes := parse_positive(self.option("max_bytes"), field="max_bytes"):
            row = replace(row, max_bytes=max_bytes, max_bytes_by_purpose={})
        if expires_after := self.text_option("expires_after"):
            row = replace(row, expiry=replace(row.expiry, native=expires_after == "pass"))
        if _truth(self.option("text_fields_first"), "text_fields_first"):
            row = replace(row, text_fields_first=True)
        if _truth(self.option("content_length"), "content_length"):
            row = replace(
                row, needs_whole_file=True
            )  # fields may follow the file, so nobody announces its length
        return row

    def _dialect(self, row: Dialect) -> Dialect:
        headers = _pairs(self.option("extra_headers"), "extra_headers")
        for name, value in headers.items():
            _check_header_name(name, field="extra_headers")
            check_header_value(value, field="extra_headers")
        page_size = parse_positive(self.option("page_size"), field="page_size") or row.page_size
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


def _truth(value: object, field: str) -> bool:
    if value in (None, True, False):
        return bool(value)
    raise _bad(field, "must be true or false")
