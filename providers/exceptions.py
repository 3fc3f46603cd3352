"""What can go wrong between a driver and its provider.

ProviderError                     provider, operation, status_code, request_id, retryable, retry_after_seconds
 |- UnsupportedOperationError      declared unsupported, before any request; or not there for this file
 |- CredentialsError               401, 403: the account's key is bad, not the client's
 |- ConfigurationRefusedError      how the account is set up: endpoint, bucket, encryption key, billing
 |- RemoteFileNotFoundError        404, 410
 |- FileRejectedError              400, 402, 409, 413, 415, 422: the provider refused this request
 |- RateLimitedError               429; retryable, after retry_after_seconds
 |- ProviderUnavailableError       timeout, connection, 5xx; retryable
 |   |- ProviderBusyError          something else has to end first, which waiting helps against
 |   `- ProviderTimeoutError       the provider did not answer in time
 `- InvalidResponseError           a success that could not be understood
ProviderConfigurationError         an ImproperlyConfigured, outside the tree so that no handler swallows it

Whether to retry is a fact about the error, so it is written on the error.
"""

from django.core.exceptions import ImproperlyConfigured


class ProviderConfigurationError(ImproperlyConfigured):
    """A provider account cannot work as it is configured; `field` names the option or credential at fault."""

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class ProviderError(Exception):
    """A provider could not do what was asked.

    Once it has left its driver, its texts are safe to show to the client: they hold no credential, `message`
    has at most 500 characters, and `request_id` is one or None. `answered` is False when no answer was
    received, so that the provider may or may not have done what was asked; `was_asked` is False when it was
    left alone.
    """

    retryable = False

    def __init__(
        self,
        message: str,
        *,
        provider: str = "",
        operation: str = "",
        status_code: int | None = None,
        code: str | None = None,
        param: str | None = None,
        request_id: str | None = None,
        retry_after_seconds: float | None = None,
        answered: bool = True,
        was_asked: bool = True,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.provider = provider
        self.operation = operation
        self.status_code = status_code
        self.code = code
        self.param = param
        self.request_id = request_id
        self.retry_after_seconds = retry_after_seconds
        self.answered = answered
        self.was_asked = was_asked

    @property
    def was_unreachable(self) -> bool:
        """Whether no connection was made, so that the provider has seen nothing of the request."""
        return isinstance(self, ProviderUnavailableError) and self.answered and self.status_code is None


class UnsupportedOperationError(ProviderError):
    """The provider has no such operation, or not for this file; nothing was changed."""


class CredentialsError(ProviderError):
    """The provider does not accept the account's credentials."""


class ConfigurationRefusedError(ProviderError):
    """The provider refuses what every request of the account has in common, whoever sends which file.

    Its endpoint, bucket, encryption key or billing is at fault, neither the client nor the credentials.
    """


class RemoteFileNotFoundError(ProviderError):
    """The provider does not have the file (any more)."""


class FileRejectedError(ProviderError):
    """The provider refused the file or the request, and would refuse it again."""


class RateLimitedError(ProviderError):
    """The provider asks to slow down."""

    retryable = True


class ProviderUnavailableError(ProviderError):
    """The provider failed, could not be reached, or the connection broke."""

    retryable = True


class ProviderBusyError(ProviderUnavailableError):
    """Something else has to end before the provider does what was asked."""


class ProviderTimeoutError(ProviderUnavailableError):
    """The provider did not answer in time."""


class InvalidResponseError(ProviderError):
    """The provider answered with success, but the answer makes no sense.

    It may have done what was asked, so an upload that ends this way has to be compensated. Asking again may
    get a better answer.
    """

    retryable = True
