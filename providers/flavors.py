"""Servers of OpenAI's shapes that the driver `openai-compatible` knows by name.

Facts were read on 2026-11-23. "MB" in a vendor's text is taken for 2^20 bytes, unless that is more than
another page of the same vendor allows.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Final

from providers.objects import (
    ALL_OPERATIONS,
    INPUT_PURPOSES,
    Capabilities,
    Expiry,
    GiB,
    MiB,
    Operation,
)
from providers.openai_compatible import CHECKED, DAY_SECONDS, JSONL, Dialect, Member

_row = partial(Capabilities, checked=CHECKED)

#: Documents and images as `file-extract` and `image`, as Moonshot and DashScope call them.
_EXTRACT = dict.fromkeys(("user_data", "assistants"), "file-extract")
_EXTRACT_OUT = {"file-extract": "user_data"}
_BATCH = {"batch": "batch"}
_JSONL = {"batch": JSONL}
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
FLAVORS: Final[Mapping[str, Member]] = {
    "ark": Member(
        "Volcengine Ark",
        "https://ark.cn-beijing.volces.com/api/v3",
        _ARK,
        Dialect(page_size=100, expiry_field="expire_at"),
    ),
    "byteplus": Member(
        "BytePlus ModelArk",
        "https://ark.ap-southeast.bytepluses.com/api/v3",
        _ARK,
        Dialect(page_size=100, expiry_field="expire_at"),
    ),
    "dashscope": Member(
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
    "deepseek": Member(
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
    "moonshot": Member(
        "Moonshot",
        "https://api.moonshot.ai/v1",
        _row(
            content="extracted",  # of `file-extract` files only; it answers 400 for others
            purposes={**_BATCH, **_EXTRACT, "vision": "image"},
            output_purposes={**_EXTRACT_OUT, "image": "vision", "video": "vision"},
            max_bytes=100 * MiB,
            extensions=_JSONL,
            source="https://platform.kimi.ai/docs/api/files-upload",
        ),
    ),
    "morph": Member(
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
    "nebius": Member(
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
    "novita": Member("Novita", "https://api.novita.ai/openai/v1", _NOVITA, Dialect(success_code="200")),
    "ogx": Member(
        "OGX",
        "",
        _row(expiry=Expiry(native=True), paging="after", source="https://github.com/ogx-ai/ogx"),
        Dialect(page_size=1_000),
    ),
    "openrouter": Member(
        "OpenRouter",
        "https://openrouter.ai/api/v1",
        _row(
            purposes=dict.fromkeys(INPUT_PURPOSES, ""),  # its form has no such field
            paging="after",
            source="https://openrouter.ai/docs/api-reference/files",
        ),
        Dialect(page_size=1_000),
    ),
    "perplexity": Member(
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
    "ppio": Member("PPIO", "https://api.ppio.com/openai/v1", _NOVITA, Dialect(success_code="200")),
    "siliconflow": Member(
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
    "zhipu": Member(
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
