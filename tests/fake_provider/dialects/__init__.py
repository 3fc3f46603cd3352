"""The table of dialects: one class per wire format, each mounted under its `prefix`."""

from .anthropic import Anthropic
from .azure import AzureDated, AzureV1
from .base import Dialect
from .cerebras import Cerebras
from .cohere import Cohere
from .deepinfra import DeepInfra
from .fireworks import Fireworks
from .followers import (
    Ark,
    DashScope,
    DeepSeek,
    Moonshot,
    Novita,
    OpenRouter,
    Perplexity,
    SiliconFlow,
    Zhipu,
)
from .gemini import Gemini
from .groq import Groq
from .mistral import Mistral
from .openai import OpenAI
from .together import Together
from .xai import XAI

DIALECTS: tuple[type[Dialect], ...] = (
    OpenAI,
    AzureDated,
    AzureV1,
    Groq,
    XAI,
    Cerebras,
    DeepInfra,
    Mistral,
    Moonshot,
    DashScope,
    Zhipu,
    SiliconFlow,
    Novita,
    Perplexity,
    DeepSeek,
    Ark,
    OpenRouter,
    Anthropic,
    Gemini,
    Together,
    Cohere,
    Fireworks,
)
