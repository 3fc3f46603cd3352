"""The members of the OpenAI-compatible family that need no code: a row each, under a name of its own.

A member that needs some has a module, such as `xai.py`. Servers without a name of their own are the flavors
of `generic.py`. Facts were read on 2026-11-23.
"""

from __future__ import annotations

from providers.objects import Capabilities, Expiry, MiB
from providers.openai_compatible import CHECKED, DAY_SECONDS, JSONL, Dialect, Member, member_driver

CerebrasDriver = member_driver(
    "cerebras",
    Member(
        "Cerebras",
        "https://api.cerebras.ai/v1",
        Capabilities(
            purposes={"batch": "batch"},
            max_bytes=200 * MiB,
            extensions={"batch": JSONL},
            expiry=Expiry(native=True, default_seconds=7 * DAY_SECONDS),
            paging="after",
            source="https://inference-docs.cerebras.ai/api-reference/file/upload-file",
            checked=CHECKED,
        ),
        Dialect(
            page_size=100,
            refusal_hint="Cerebras' file API is a private preview: the key may have no access to it.",
        ),
    ),
)

# How its list pages is not documented: only `has_more` is trusted.
DeepInfraDriver = member_driver(
    "deepinfra",
    Member(
        "DeepInfra",
        "https://api.deepinfra.com/v1/openai",
        Capabilities(
            purposes={"batch": "batch"},
            output_purposes={"batch-output": "batch_output"},
            max_bytes=200 * MiB,
            extensions={"batch": JSONL},
            expiry=Expiry(native=True, default_seconds=30 * DAY_SECONDS),
            paging="after",
            source="https://docs.deepinfra.com/batch/file-endpoints",
            checked=CHECKED,
        ),
    ),
)

# Keys on the free plan get a 403, whose message is passed on.
GroqDriver = member_driver(
    "groq",
    Member(
        "Groq",
        "https://api.groq.com/openai/v1",
        Capabilities(
            purposes={"batch": "batch"},
            max_bytes=100 * MiB,
            extensions={"batch": JSONL},
            source="https://console.groq.com/docs/api-reference",
            checked=CHECKED,
        ),
    ),
)
