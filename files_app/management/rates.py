"""The options of commands that set rates."""

from __future__ import annotations

from argparse import SUPPRESS, ArgumentParser, ArgumentTypeError, Namespace

from files_app.management.arguments import count
from files_app.models.organizations import RATE_LIMITS

DEFAULT = "default"
_MEANINGS = {
    "requests_per_minute": "requests within a minute",
    "bytes_per_minute": "bytes of uploads and contents that begin within a minute",
    "uploads_per_minute": "uploads that begin within a minute",
    "uploads_at_once": "uploads that run at a time",
}


def add_rates(parser: ArgumentParser) -> None:
    """Declare an option for each rate."""
    for name in RATE_LIMITS:
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            dest=name,
            type=_rate,
            default=SUPPRESS,
            metavar="N",
            help=f"{_MEANINGS[name]}; 0: no limit; {DEFAULT}: as the settings have it",
        )


def rates_in(arguments: Namespace) -> dict[str, int | None]:
    """Return the rates that were given, by the names of their columns."""
    return {name: getattr(arguments, name) for name in RATE_LIMITS if hasattr(arguments, name)}


def in_words(rates: dict[str, int | None]) -> str:
    """Return rates as one line."""
    shown = {name: DEFAULT if value is None else value or "no limit" for name, value in rates.items()}
    return ", ".join(f"{name.replace('_', ' ')}: {value}" for name, value in shown.items())


def _rate(text: str) -> int | None:
    try:
        return None if text == DEFAULT else count(text)
    except ArgumentTypeError:
        raise ArgumentTypeError(f"{text!r} is neither a whole number nor '{DEFAULT}'") from None
