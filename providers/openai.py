"""OpenAI's own Files API."""

from __future__ import annotations

from providers.base import Setting
from providers.objects import Capabilities, Expiry, MiB
from providers.openai_compatible import CHECKED, JSONL, Dialect, OpenAICompatibleDriver, base_url_setting
from providers.parsing import check_header_value


class OpenAIDriver(OpenAICompatibleDriver):
    """OpenAI Files API. The size limits, defaults and shapes that the family follows are from here."""

    name = "openai"
    label = "OpenAI"
    options = (
        base_url_setting("https://api.openai.com/v1"),
        Setting("organization", "Organization", "Sent as OpenAI-Organization."),
        Setting("project", "Project", "Sent as OpenAI-Project; without it the key's own project is used."),
    )
    capabilities = Capabilities(
        sealed_purposes=frozenset({"assistants", "user_data"}),
        max_bytes=512 * MiB,
        max_bytes_by_purpose={"batch": 200 * MiB},
        extensions={"batch": JSONL, "fine-tune": JSONL},
        expiry=Expiry(native=True),
        paging="after",
        source="https://developers.openai.com/api/reference/resources/files",
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
