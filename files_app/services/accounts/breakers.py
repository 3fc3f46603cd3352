"""A breaker for each account and kind of operation: a provider that does not answer is not waited for.

Decided in each process on its own, from what it saw itself. BREAKER_FAILURES timeouts and failed connections
in a row open one; then everybody is refused at once, but for one try after BREAKER_SECONDS, the next after
twice as long, and so on up to a minute. A try that works closes it. Whatever answer a provider gives, also a
refusal, is an answer.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus

import structlog
from django.conf import settings
from django.utils import timezone

from files_app.models import BreakerKind, ProviderAccount
from files_app.observability import context, metrics
from files_app.services.accounts import breaker_records
from providers.exceptions import ProviderError, ProviderTimeoutError, ProviderUnavailableError
from providers.objects import Operation

log = structlog.get_logger(__name__)

_LONGEST_PAUSE_SECONDS = 60.0
#: A client that keeps an upload waiting so long may be why its provider hung up.
_SLOW_CLIENT_SECONDS = 2.0


_KIND_OF = {
    Operation.LIST: BreakerKind.READ,
    Operation.RETRIEVE: BreakerKind.READ,
    Operation.CONTENT: BreakerKind.CONTENT,
    Operation.CREATE: BreakerKind.WRITE,
    Operation.DELETE: BreakerKind.DELETE,
}


@dataclass(slots=True)
class Breaker:
    """What one process knows of one account and kind. Times are time.monotonic().

    configuration: what the account was when it failed. opened_at: None while it is closed, as is opened_on,
    the same on the wall's clock. pause_seconds: between the last try and the next.
    """

    account_id: int
    account_name: str
    driver: str
    kind: BreakerKind
    configuration: tuple[object, ...] = field(default=(), repr=False)
    failures: int = 0
    opened_at: float | None = None
    opened_on: datetime | None = None
    next_try_at: float = 0.0
    pause_seconds: float = 0.0
    error: str = ""
    is_timeout: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def refusal(self) -> ProviderUnavailableError | None:
        """Return why a request would be refused now; None when it would be let through."""
        if self.opened_at is None:
            return None
        seconds = self.next_try_at - time.monotonic()
        return self._refused(seconds) if seconds > 0 else None

    def admit(self) -> None:
        """Let a request through, as the one try where the breaker is open. Raises what `refusal` returns."""
        if self.opened_at is None:
            return
        with self.lock:
            if (refused := self.refusal()) is not None:
                metrics.BREAKER_REFUSALS.labels(self.driver, self.kind).inc()
                raise refused
            # A try may hang for minutes: the next does not wait for its end.
            self._put_off()

    def note_answer(self) -> None:
        """Take note that the provider answered, whatever it said."""
        if self.opened_at is None and not self.failures:
            return
        with self.lock:
            opened_at, self.opened_at, self.opened_on, self.failures = self.opened_at, None, None, 0
        if opened_at is not None:
            seconds = round(time.monotonic() - opened_at, 1)
            log.warning("breaker_closed", provider=self.account_name, kind=self.kind, seconds=seconds)
            breaker_records.tell(self)

    def note_failure(self, error: ProviderError) -> None:
        """Take note that the provider did not answer, or could not be reached."""
        with self.lock:
            self.failures += 1
            self.error, self.is_timeout = error.message[:500], isinstance(error, ProviderTimeoutError)
            is_news = self.opened_at is None
            if is_news:
                if not 0 < settings.BREAKER_FAILURES <= self.failures:
                    return
                self.opened_at, self.opened_on = time.monotonic(), timezone.now()
                self.pause_seconds = settings.BREAKER_SECONDS / 2
                self._put_off()
        if is_news:
            log.warning("breaker_opened", provider=self.account_name, kind=self.kind, error=self.error)
            metrics.BREAKERS_OPENED.labels(self.driver, self.kind).inc()
        breaker_records.tell(self)

    def _put_off(self) -> None:
        longest = max(_LONGEST_PAUSE_SECONDS, settings.BREAKER_SECONDS)
        self.pause_seconds = min(longest, 2 * self.pause_seconds)
        self.next_try_at = time.monotonic() + self.pause_seconds

    def _refused(self, seconds: float) -> ProviderUnavailableError:
        kind = ProviderTimeoutError if self.is_timeout else ProviderUnavailableError
        return kind(
            f"The provider of the account '{self.account_name}' has not answered lately, so it is not asked "
            f"now: {self.error}",
            provider=self.account_name,
            retry_after_seconds=seconds,
            was_asked=False,
        )


_breakers: dict[tuple[int, BreakerKind], Breaker] = {}


def breaker_of(account: ProviderAccount, operation: Operation) -> Breaker:
    """Return the breaker of this process: a new one for an account that leads elsewhere than it did."""
    key = (account.pk, _KIND_OF[operation])
    configuration = (account.driver, account.options, account.credentials)
    found = _breakers.get(key)
    if found is not None and found.configuration == configuration:
        return found
    made = _breakers[key] = Breaker(account.pk, account.name, account.driver, key[1], configuration)
    if found is not None and found.opened_at is not None:
        breaker_records.tell(made)
    return made


def refusal(account: ProviderAccount, operation: Operation) -> ProviderUnavailableError | None:
    """Return why an account would not be asked now; None where it would."""
    return breaker_of(account, operation).refusal()


def require_answering(account: ProviderAccount, operation: Operation) -> None:
    """Refuse what would be refused at the provider's door anyway, before it costs anybody anything.

    Raises ProviderUnavailableError.
    """
    breaker = breaker_of(account, operation)
    if (refused := breaker.refusal()) is not None:
        metrics.BREAKER_REFUSALS.labels(breaker.driver, breaker.kind).inc()
        raise refused


def open_breakers() -> list[Breaker]:
    """Return those of this process that are open."""
    return [breaker for breaker in list(_breakers.values()) if breaker.opened_at is not None]


def forget_breakers() -> None:
    """Know nothing of any provider."""
    _breakers.clear()


@contextmanager
def noting(breaker: Breaker, *, is_whole: bool = True) -> Iterator[None]:
    """Take note of how a call to a provider ends. What is not the provider's failure counts for nothing.

    is_whole: whether the end of the block is the end of the answer.
    """
    try:
        yield
    except ProviderError as error:
        if not _is_silence(error):
            breaker.note_answer()
        elif not _may_be_the_clients(error, breaker.kind):
            breaker.note_failure(error)
        raise
    if is_whole or breaker.opened_at is not None:
        breaker.note_answer()


def _is_silence(error: ProviderError) -> bool:
    """Whether an error means that the provider did not answer in time, or could not be reached."""
    without_answer = {None, HTTPStatus.GATEWAY_TIMEOUT}  # the latter from what stands in front of it
    return isinstance(error, ProviderUnavailableError) and error.status_code in without_answer


def _may_be_the_clients(error: ProviderError, kind: BreakerKind) -> bool:
    """Whether a connection broke because it had to wait for a client that sends its file slowly."""
    is_broken = kind is BreakerKind.WRITE and not isinstance(error, ProviderTimeoutError)
    return is_broken and context.slowest_read_seconds() >= _SLOW_CLIENT_SECONDS
