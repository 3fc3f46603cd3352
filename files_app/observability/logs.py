"""Set up structlog and the standard library's logging to write one format to one stream."""

import json
import logging
import logging.config
import sys
from functools import lru_cache
from typing import ClassVar, Literal, TextIO, TypedDict

import structlog
from django.utils.log import CallbackFilter
from structlog.typing import EventDict, Processor, WrappedLogger

from files_app.observability import context
from files_app.observability.redaction import redact

# Loggers that print a line a request or a line a poll of their own, or whose debug output holds headers.
QUIET_LOGGERS = {
    "django.security": "CRITICAL",
    "celery": "WARNING",
    "kombu": "WARNING",
    "psycopg.pool": "ERROR",  # a line for each try to connect; the requests that wait for it say why it fails
    "authlib": "WARNING",  # at debug level it tells what proves a sign-in to the provider
    "axes": "WARNING",
    "urllib3": "WARNING",
    "requests": "WARNING",
    "boto3": "WARNING",
    "botocore": "WARNING",
    "s3transfer": "WARNING",
    "google": "WARNING",
}


class LoggingSettings(TypedDict):
    format: str  # "json" or "console"
    level: str


Stream = Literal["stdout", "stderr"]


class LineLogger:
    """Writes lines as far as somebody takes them: what logs to a full disk does its work all the same."""

    _lost: ClassVar[int] = 0

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._writer = structlog.WriteLogger(file)

    def msg(self, message: str) -> None:
        try:
            self._write(message)
        except OSError:
            LineLogger._lost += 1
            return
        if lost := LineLogger._lost:
            LineLogger._lost = 0
            structlog.get_logger(__name__).warning("log_lines_lost", lines=lost)

    def _write(self, message: str) -> None:
        try:
            self._writer.msg(message)
        except UnicodeEncodeError:  # half a character, which JSON of anybody may hold
            encoding = self._file.encoding or "utf-8"
            self._writer.msg(message.encode(encoding, "backslashreplace").decode(encoding))

    log = debug = info = warn = warning = msg
    fatal = failure = err = error = critical = exception = msg


def configure(settings: LoggingSettings, stream: Stream = "stdout") -> None:
    """Send all logs through the same processors; called by Django with settings.LOGGING.

    stream: commands whose standard output is a result log to standard error.
    """
    shared: list[Processor] = [
        context.merge,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
    ]
    renderers = [redact, _renderer(settings["format"])]
    structlog.configure(
        processors=[*shared, *renderers],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(settings["level"])),
        # The stream is looked up for each logger, so that a test (or a daemon) may replace it.
        logger_factory=lambda *args: _line_logger(getattr(sys, stream)),
        cache_logger_on_first_use=False,
    )
    logging.config.dictConfig(
        _standard_library(settings["level"], stream, [structlog.stdlib.add_logger_name, *shared], renderers)
    )


@lru_cache(maxsize=1)
def _line_logger(file: TextIO) -> LineLogger:
    return LineLogger(file)


def is_unhandled(record: logging.LogRecord) -> bool:
    """Whether a record tells of an exception."""
    return bool(record.exc_info)


def _renderer(name: str) -> Processor:
    if name == "json":
        return _as_json
    return structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty(), pad_event_to=0)


_encode = json.JSONEncoder(ensure_ascii=False).encode


def _as_json(logger: WrappedLogger, name: str, event: EventDict) -> str:
    """Return the line; `redact` has made texts of what JSON does not know."""
    return _encode(event)


def _standard_library(
    level: str, stream: Stream, foreign: list[Processor], renderers: list[Processor]
) -> dict[str, object]:
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "structlog": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": foreign,
                "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers],
            }
        },
        "handlers": {
            "stream": {
                "class": "logging.StreamHandler",
                "stream": f"ext://sys.{stream}",
                "formatter": "structlog",
            }
        },
        "root": {"handlers": ["stream"], "level": level},
        # A 502 that the API answered has its own line; here only what nobody handled is news.
        "filters": {"unhandled": {"()": CallbackFilter, "callback": is_unhandled}},
        "loggers": {name: {"level": quiet} for name, quiet in QUIET_LOGGERS.items()}
        | {"django.request": {"level": "ERROR", "filters": ["unhandled"]}},
    }
