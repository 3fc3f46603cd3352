"""The options by which an account says how batch files are rendered for its provider's jobs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from providers.base import Driver, Setting
from providers.batches.rendering import BatchOptions
from providers.exceptions import ProviderConfigurationError
from providers.parsing import parse_positive

_NUMBERS: Final = ("batch_min_records", "batch_max_records", "batch_max_bytes")

#: Which kind of Bedrock's jobs runs the lines of OpenAI's models.
JOB: Final = Setting(
    "job",
    "Jobs of OpenAI's models",
    "openai: at the OpenAI-compatible endpoint, which reads OpenAI's own lines. invoke, the default: "
    "invocation jobs.",
    choices=("", "invoke", "openai"),
)
BATCH_OPTIONS: Final = (
    Setting(
        "models",
        "Models",
        "Names that clients write in batch lines -> the provider's, so that an alias never reaches a job.",
        kind="mapping",
    ),
    Setting(
        "unsupported_fields",
        "Fields that jobs lack",
        "seed, penalties and logit_bias where a model's jobs do not know them: refuse, the default, or "
        "ignore.",
        choices=("", "refuse", "ignore"),
    ),
    Setting(
        "batch_min_records",
        "Fewest records of a job",
        "A file with fewer is taken, with a warning. Empty means the provider's usual quota.",
        kind="integer",
    ),
    Setting(
        "batch_max_records",
        "Most records of a job",
        "Empty means the provider's usual quota.",
        kind="integer",
    ),
    Setting(
        "batch_max_bytes",
        "Most bytes of a job",
        "Of the rendered lines. Empty means the provider's usual quota.",
        kind="integer",
    ),
)


def batch_options(driver: Driver, model: str | None) -> BatchOptions:
    """Return how an account's batch files are rendered. Raises ProviderConfigurationError.

    model: what the request names instead of the lines.
    """
    least, most, most_bytes = (parse_positive(driver.option(name), field=name) for name in _NUMBERS)
    names = {setting.name for setting in driver.options}
    return BatchOptions(
        models=_models(driver.option("models")),
        model=model,
        job="openai" if JOB.name in names and _choice(driver, JOB.name) == "openai" else "invoke",
        unsupported="ignore" if _choice(driver, "unsupported_fields") == "ignore" else "refuse",
        min_records=least,
        max_records=most,
        max_rendition_bytes=most_bytes,
    )


def _choice(driver: Driver, name: str) -> str:
    value = driver.text_option(name)
    choices = next(setting.choices for setting in driver.options if setting.name == name)
    if value not in choices:
        known = ", ".join(filter(None, choices))
        raise ProviderConfigurationError(f"'{name}' must be one of: {known}.", field=name)
    return value


def _models(value: object) -> Mapping[str, str]:
    if value is None:
        return {}
    if not isinstance(value, Mapping) or not all(isinstance(v, str) and v for v in value.values()):
        raise ProviderConfigurationError("'models' must map names to names of models.", field="models")
    return {str(name): model for name, model in value.items()}
