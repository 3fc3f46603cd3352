"""The one table of drivers: name -> where its class is. Everything that lists providers derives from it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import Final

from providers.base import AccountConfig, Driver
from providers.exceptions import ProviderConfigurationError

#: Names are stored in the database: never rename one.
DRIVERS: Final[Mapping[str, str]] = {
    "openai": "providers.openai:OpenAIDriver",
    "azure-openai": "providers.azure:AzureOpenAIDriver",
    "anthropic": "providers.anthropic:AnthropicDriver",
    "bedrock": "providers.bedrock:BedrockDriver",
    "vertex": "providers.vertex:VertexDriver",
    "groq": "providers.members:GroqDriver",
    "gemini": "providers.gemini:GeminiDriver",
    "together": "providers.together:TogetherDriver",
    "xai": "providers.xai:XAIDriver",
    "cerebras": "providers.members:CerebrasDriver",
    "deepinfra": "providers.members:DeepInfraDriver",
    "cohere": "providers.cohere:CohereDriver",
    "mistral": "providers.mistral:MistralDriver",
    "fireworks": "providers.fireworks:FireworksDriver",
    "openai-compatible": "providers.generic:GenericDriver",
    "local": "providers.local:LocalDriver",
}


@cache
def driver_class(name: str) -> type[Driver]:
    """Return the driver class called `name`, imported on first use. Raises ProviderConfigurationError."""
    try:
        module, _, attribute = DRIVERS[name].partition(":")
    except KeyError:
        known = ", ".join(sorted(DRIVERS))
        raise ProviderConfigurationError(
            f"There is no driver '{name}'. Known drivers: {known}.", field="driver"
        ) from None
    found = getattr(import_module(module), attribute)
    if not (isinstance(found, type) and issubclass(found, Driver) and found.name == name):
        raise TypeError(f"{attribute} is not the driver '{name}'")
    return found


def build_driver(name: str, account: AccountConfig) -> Driver:
    """Return the driver `name` for an account. Raises ProviderConfigurationError."""
    return driver_class(name)(account)
