"""What an upload is asked to do, and who takes part in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from files_app.models import File, FileCopy, ProviderAccount
from files_app.services.index.callers import Caller
from files_app.streams.checks import UploadChecks
from files_app.streams.form import BodySource
from files_app.streams.raw import RawSource
from providers.base import Driver

UploadSource = BodySource | RawSource


@dataclass(frozen=True, slots=True)
class UploadRequest:
    """One upload as it reaches the service.

    account_name: None takes the default account.
    sdk_retry_count: above 0 when an SDK says that it sends the same file again.
    dialect: whose shapes the answer has, empty for OpenAI's: in another one it is another request.
    placement: bucket or region that the client asks for, by header name.
    model: fills in or replaces what the lines of a batch file name, where they are rendered.
    """

    caller: Caller
    source: UploadSource
    account_name: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    sdk_retry_count: int = 0
    dialect: str = ""
    placement: Mapping[str, str] = field(default_factory=dict)
    model: str | None = None


class UploadObserver:
    """Takes part in an upload. What a method raises fails the upload."""

    def begun(self, file: File) -> None:
        """Called in the transaction that writes the first row: before a byte is read, or after all of few."""

    def judged(self, checks: UploadChecks, account: ProviderAccount) -> None:
        """Called when every check is passed, before the provider gets the end of the file.

        Of a small body before the first row is written.
        """

    def settled(self, file: File) -> None:
        """Called in the transaction that makes the file available; once more if that has to be repeated."""


#: Takes part in an upload in which nobody takes part.
NOBODY: Final = UploadObserver()


@dataclass(frozen=True, slots=True)
class RunningUpload:
    """An upload whose rows are written: what moving its bytes and settling it have to know.

    bucket: where the client wants it; None for the account's own. lease_token: what the row's must equal for
    the upload to be ours still.
    """

    request: UploadRequest
    account: ProviderAccount
    driver: Driver
    file: File
    copy: FileCopy
    observer: UploadObserver
    bucket: str | None = None
    lease_token: str = ""
