"""Which form the lines of a model take: a table, one row a target. Vendors change these facts, not we."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from providers.batches.request.chat import ChatRequest, read_chat
from providers.batches.request.fields import Notes, UnfitLineError
from providers.batches.targets.bodies import invoke_line, kept_line
from providers.batches.targets.claude import claude_line
from providers.batches.targets.converse import converse_line
from providers.batches.targets.embeddings import (
    cohere_line,
    gemini_embedding_line,
    text_embedding_line,
    titan_line,
)
from providers.batches.targets.gemini import gemini_line
from providers.objects import JSONObject

RenderedDriver: TypeAlias = Literal["bedrock", "vertex"]
Job: TypeAlias = Literal["invoke", "openai"]
#: Takes the custom id, the body, the provider's name of the model.
RenderLine: TypeAlias = Callable[[str, JSONObject, str, Notes], JSONObject]

CHAT: Final = "/v1/chat/completions"
EMBEDDINGS: Final = "/v1/embeddings"
ENDPOINTS: Final = (CHAT, EMBEDDINGS)


@dataclass(frozen=True, slots=True)
class Target:
    """A form of lines.

    format: its name in `batch.format`. models: found in the provider's name of a model.
    job: of the account, where it decides. keeps_lines: lines that name the model as the provider does stay as
    they are, byte for byte.
    min_records, max_records, max_bytes: of a job, where the account does not say otherwise.
    source, checked: where the form and the bounds were read, and when.
    """

    driver: RenderedDriver
    format: str
    endpoint: str
    models: re.Pattern[str]
    render: RenderLine
    source: str
    checked: str
    job: Job | None = None
    keeps_lines: bool = False
    min_records: int = 1
    max_records: int = 200_000
    max_bytes: int = 1_000_000_000


def _chat(render: Callable[[str, ChatRequest, str, Notes], JSONObject]) -> RenderLine:
    def render_chat(custom_id: str, body: JSONObject, model: str, notes: Notes) -> JSONObject:
        return render(custom_id, read_chat(body, notes), model, notes)

    return render_chat


_BEDROCK_GUIDE: Final = "https://docs.aws.amazon.com/bedrock/latest/userguide/"
_VERTEX_DOCS: Final = "https://docs.cloud.google.com/vertex-ai/generative-ai/docs/"
#: A vendor and a model, behind a region's prefix or in an ARN; an ARN that says neither may be any model.
_BEDROCK_CHAT: Final = re.compile(
    r"^(?!.*(embed|rerank|titan-image|nova-(canvas|reel|sonic)|stability\.|luma\.|twelvelabs\.))"
    r"(arn:aws[a-z-]*:bedrock:.+|((us|eu|apac|jp|au|ca|sa|me|af|global|us-gov)\.)?"
    r"[a-z][a-z0-9]{1,20}\.[a-z][a-zA-Z0-9.:-]*)$"
)

#: The first row that fits counts.
TARGETS: Final[tuple[Target, ...]] = (
    Target(
        "bedrock",
        "openai",
        CHAT,
        re.compile(r"(^|[./])openai\."),
        kept_line,
        source=f"{_BEDROCK_GUIDE}inference-openai-batch.html",
        checked="2026-11-26",
        job="openai",
        keeps_lines=True,
        min_records=100,
        max_records=100_000,
    ),
    Target(
        "bedrock",
        "bedrock-invoke-openai",
        CHAT,
        re.compile(r"(^|[./])openai\."),
        invoke_line,
        source=f"{_BEDROCK_GUIDE}model-parameters-openai.html",
        checked="2026-11-26",
        job="invoke",
        min_records=100,
        max_records=100_000,
    ),
    Target(
        "bedrock",
        "bedrock-converse",
        CHAT,
        _BEDROCK_CHAT,
        _chat(converse_line),
        source=f"{_BEDROCK_GUIDE}batch-inference-data.html",
        checked="2026-11-26",
        min_records=100,
        max_records=100_000,
    ),
    Target(
        "bedrock",
        "bedrock-invoke-titan-embed",
        EMBEDDINGS,
        re.compile(r"amazon\.titan-embed-text-v2"),
        titan_line,
        source=f"{_BEDROCK_GUIDE}model-parameters-titan-embed-text.html",
        checked="2026-11-26",
        min_records=100,
        max_records=100_000,
    ),
    Target(
        "bedrock",
        "bedrock-invoke-cohere-embed",
        EMBEDDINGS,
        re.compile(r"cohere\.embed-"),
        cohere_line,
        source=f"{_BEDROCK_GUIDE}model-parameters-embed.html",
        checked="2026-11-26",
        min_records=100,
        max_records=100_000,
    ),
    Target(
        "vertex",
        "vertex-gemini",
        CHAT,
        # A number alone is a model that the project tuned.
        re.compile(r"(^|/)gemini-(?!embedding)|^projects/[^/]+/locations/[^/]+/models/\d+(@.+)?$"),
        _chat(gemini_line),
        source=f"{_VERTEX_DOCS}multimodal/batch-prediction-from-cloud-storage",
        checked="2026-11-26",
    ),
    Target(
        "vertex",
        "vertex-claude",
        CHAT,
        re.compile(r"(^|/)claude-"),
        _chat(claude_line),
        source=f"{_VERTEX_DOCS}partner-models/claude/batch",
        checked="2026-11-26",
    ),
    Target(
        "vertex",
        "vertex-gemini-embed",
        EMBEDDINGS,
        re.compile(r"(^|/)gemini-embedding-"),
        gemini_embedding_line,
        source=f"{_VERTEX_DOCS}embeddings/batch-prediction-genai-embeddings",
        checked="2026-11-26",
        max_records=1_000_000,
    ),
    Target(
        "vertex",
        "vertex-text-embed",
        EMBEDDINGS,
        re.compile(r"(^|/)(text-embedding-|text-multilingual-embedding-|textembedding-gecko)"),
        text_embedding_line,
        source=f"{_VERTEX_DOCS}embeddings/batch-prediction-genai-embeddings",
        checked="2026-11-26",
        max_records=30_000,
    ),
)
_EXAMPLES: Final = {
    "bedrock": "anthropic.claude-haiku-4-5-20251001-v1:0 or amazon.nova-lite-v1:0",
    "vertex": "gemini-2.5-flash or claude-sonnet-4-5@20250929",
}


def formats_of(driver: RenderedDriver, job: Job) -> tuple[str, ...]:
    """Return the names of all forms that lines can take."""
    return tuple(each.format for each in TARGETS if each.driver == driver and each.job in (None, job))


def target_of(driver: RenderedDriver, job: Job, model: str, endpoint: str) -> Target:
    """Return the form of a model's lines. Raises UnfitLineError."""
    if endpoint not in ENDPOINTS:
        raise UnfitLineError(
            f"'url' must be {' or '.join(ENDPOINTS)} here: no batch of this provider runs others"
        )
    fitting = [
        each
        for each in TARGETS
        if each.driver == driver and each.job in (None, job) and each.models.search(model)
    ]
    if found := next((each for each in fitting if each.endpoint == endpoint), None):
        return found
    if fitting:
        raise UnfitLineError(f"the model {model} is for {fitting[0].endpoint}, not for {endpoint}")
    raise UnfitLineError(
        f"no batch form is known for the model {model}: use the provider's own name, for example "
        f"{_EXAMPLES[driver]}, name one in the header x-tfy-provider-model, or add {model} to the account's "
        "option 'models'"
    )
