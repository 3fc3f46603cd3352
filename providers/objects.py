"""The values that cross the boundary between drivers and the rest of the gateway."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final, Literal, Protocol, TypeAlias, Union, get_args

from providers.media_types import provider_type

JSONValue: TypeAlias = Union[
    str, int, float, bool, "list[JSONValue]", "dict[str, JSONValue]", "Mapping[str, JSONValue]", None
]
JSONObject: TypeAlias = Mapping[str, JSONValue]

FileStatus: TypeAlias = Literal["uploaded", "processed", "error"]
FILE_STATUSES: Final[tuple[FileStatus, ...]] = get_args(FileStatus)

KiB = 1024
MiB = 1024 * KiB
GiB = 1024 * MiB

#: Purposes that OpenAI's reference accepts on upload (read 2026-11-23).
INPUT_PURPOSES = ("assistants", "batch", "evals", "fine-tune", "user_data", "vision")


class Operation(StrEnum):
    """The five operations of the Files API, named as the reference names them."""

    CREATE = "create"
    LIST = "list"
    RETRIEVE = "retrieve"
    CONTENT = "content"
    DELETE = "delete"


ALL_OPERATIONS = frozenset(Operation)


@dataclass(frozen=True, slots=True)
class Expiry:
    """How long a provider keeps files.

    native: the provider takes `expires_after` itself; otherwise the gateway deletes the file when it is due.
    min_seconds, max_seconds: which of them it takes. A provider that takes none and deletes every file after
        a while has that as max_seconds: longer wishes are taken, and a file's `expires_at` says the truth.
    default_seconds: what the provider does unasked; None means that it keeps the file.
    """

    native: bool = False
    min_seconds: int = 3_600
    max_seconds: int = 2_592_000
    default_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class BatchLineFormat:
    """The keys of one line of a batch file: each in `required` must be there, with that JSON type."""

    name: str
    required: Mapping[str, type]
    unique: str | None = None


OPENAI_BATCH_LINES = BatchLineFormat(
    "openai", {"custom_id": str, "method": str, "url": str, "body": dict}, unique="custom_id"
)

#: Together and Fireworks name the endpoint on the batch instead of on each line
#: (docs.together.ai/docs/inference/batch, docs.fireworks.ai/guides/batch-inference, read 2026-11-23).
BODY_BATCH_LINES = BatchLineFormat("custom_id and body", {"custom_id": str, "body": dict}, unique="custom_id")


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What one driver can do, declared once: validation, `GET /v1/providers`, the admin and the docs read it.

    operations: what the provider has; the base class refuses the others before any request.
    purposes: OpenAI's purpose -> the provider's, for uploads. A purpose that is not a key is refused.
    output_purposes: the provider's purpose -> OpenAI's, where `purposes` read backwards does not say it.
    max_bytes: largest file, None where only the gateway's own limit holds; by purpose where it differs.
    extensions: purpose -> file name endings that the provider takes (lower case, with the dot).
    paging: how the provider's own list pages, for the docs and the admin.
    renders_batches: jobs read no lines of OpenAI's, so that these are rendered (`providers.renditions`).
    sealed_purposes: purposes of files whose content the provider does not give back, as clients are told.
    content: whether a download gives the uploaded bytes back, or text that the provider made of them.
    text_fields_first: form fields must come before the file.
    needs_whole_file: the driver must see the whole file (or its checksum) before it sends the first byte.
    deduplicates: two uploads of the same bytes can answer the same remote id.
    missing_reasons: operation -> what is possible instead, for operations that the provider lacks, or has
        only for some files.
    source, checked: where these facts were read, and when (ISO date).
    """

    operations: frozenset[Operation] = ALL_OPERATIONS
    purposes: Mapping[str, str] = field(default_factory=lambda: {p: p for p in INPUT_PURPOSES})
    output_purposes: Mapping[str, str] = field(default_factory=dict)
    max_bytes: int | None = None
    max_bytes_by_purpose: Mapping[str, int] = field(default_factory=dict)
    extensions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    expiry: Expiry = Expiry()
    paging: Literal["none", "after", "token", "page"] = "none"
    batch_lines: tuple[BatchLineFormat, ...] = (OPENAI_BATCH_LINES,)
    renders_batches: bool = False
    storage: Literal["provider", "s3", "gcs", "disk"] = "provider"
    mode: Literal["pass-through", "transformed", "object store"] = "pass-through"
    ranges: bool = False
    sealed_purposes: frozenset[str] = frozenset()
    content: Literal["exact", "extracted"] = "exact"
    text_fields_first: bool = False
    needs_whole_file: bool = False
    deduplicates: bool = False
    missing_reasons: Mapping[Operation, str] = field(default_factory=dict)
    source: str = ""
    checked: str = ""

    def max_bytes_for(self, purpose: str | None) -> int | None:
        """Return the provider's limit for `purpose`; None means that it states none."""
        if purpose is not None and purpose in self.max_bytes_by_purpose:
            return self.max_bytes_by_purpose[purpose]
        return self.max_bytes

    @property
    def job_input(self) -> Literal["file_id", "batch_uri"] | None:
        """What names a batch file to the provider's jobs; None where there are no such jobs."""
        if "batch" not in self.purposes or self.storage == "disk":
            return None
        return "file_id" if self.storage == "provider" else "batch_uri"

    def gives_content(self, purpose: str) -> bool:
        """Whether the content of a file of this purpose, in OpenAI's words, can be had."""
        return Operation.CONTENT in self.operations and purpose not in self.sealed_purposes

    def purpose_from(self, theirs: str | None) -> str | None:
        """Return OpenAI's word for a provider's purpose; one that is in no table stays as it is."""
        if theirs is None or self.purposes.get(theirs) == theirs:
            return self.output_purposes.get(theirs or "", theirs)
        backwards = (ours for ours, mapped in self.purposes.items() if mapped == theirs)
        return self.output_purposes.get(theirs) or next(backwards, theirs)


@dataclass(frozen=True, slots=True)
class BatchFacts:
    """What the lines of a batch file are for the jobs of its provider.

    format: of the lines that a job reads, for example `bedrock-converse`. records, bytes: of what it reads.
    model, endpoint: None where lines in the provider's own form do not say.
    is_rendered: whether jobs read a rendition; else they read the file itself.
    """

    format: str
    records: int
    bytes: int
    model: str | None = None
    endpoint: str | None = None
    ignored: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    is_rendered: bool = True


class Rendering(Protocol):
    """What becomes of a batch file's lines while they pass."""

    def take(self) -> bytes:
        """Return what was rendered since the last call."""
        ...

    def facts(self) -> BatchFacts | None:
        """Return the outcome; only at the upload's end. None where the file is no batch file."""
        ...


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file as its provider describes it. None means that the provider did not say.

    batch: the `batch` member of its file object.
    rendition_of: the remote id of the file whose rendition this is; such a thing is nobody's file.
    translation_of: the remote id of the batch result whose translation this is; nobody's file either.
    """

    remote_id: str
    bytes: int | None = None
    created_at: datetime | None = None
    filename: str | None = None
    purpose: str | None = None
    status: FileStatus = "processed"
    status_details: str | None = None
    expires_at: datetime | None = None
    content_type: str | None = None
    uri: str | None = None
    sha256: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    deduplicated: bool = False
    batch: JSONObject | None = None
    rendition_of: str | None = None
    translation_of: str | None = None


@dataclass(frozen=True, slots=True)
class RemotePage:
    """One page of a provider's list; `next_cursor` is None on the last page."""

    files: tuple[RemoteFile, ...]
    next_cursor: str | None = None


@dataclass(frozen=True, slots=True)
class PurposePart:
    """The `purpose` field of an upload, in OpenAI's words."""

    value: str


@dataclass(frozen=True, slots=True)
class ExpiresAfterPart:
    """The `expires_after` fields of an upload; the anchor is always `created_at`."""

    seconds: int


@dataclass(frozen=True, slots=True)
class FilePart:
    """The file of an upload. `chunks` can be read once; the rest is known only after a spool.

    content_type: as the client gave it, with a charset or without; providers get `provider_type`.
    reopen: returns the file's bytes from the start, for a driver that needs them more than once.
    """

    filename: str
    content_type: str
    chunks: Iterator[bytes]
    length: int | None = None
    sha256: str | None = None
    reopen: Callable[[], Iterator[bytes]] | None = None

    @property
    def provider_type(self) -> str | None:
        """The type for the provider: the client's where it says something, else the name's; None for none."""
        return provider_type(self.content_type, self.filename)


UploadPart: TypeAlias = PurposePart | ExpiresAfterPart | FilePart


@dataclass(slots=True)
class Upload:
    """One upload on its way to a provider: parts in the order in which the client sent them.

    The iterator raises when a check fails, so whoever reads it to the end knows that the file may be
    published; a driver must not complete anything at the provider before that. `purpose` and
    `expires_after_seconds` are known once their parts have passed.

    file_id: the gateway's own id, for providers that let the client choose the name.
    namespace: path segment that belongs to the organization, for object stores.
    bucket: the bucket that the request asks for, where not the account's own; the driver checks it.
    rendering: renders the lines of a batch file as the chunks of its part are pulled; None where nothing is.
    """

    file_id: str
    namespace: str
    parts: Iterator[UploadPart]
    digest: Callable[[], Digest]
    metadata: Mapping[str, str] = field(default_factory=dict)
    purpose: str | None = None
    expires_after_seconds: int | None = None
    bucket: str | None = None
    rendering: Rendering | None = None

    def __iter__(self) -> Iterator[UploadPart]:
        for part in self.parts:
            match part:
                case PurposePart(value):
                    self.purpose = value
                case ExpiresAfterPart(seconds):
                    self.expires_after_seconds = seconds
                case FilePart():
                    pass
            yield part

    def open_file(self) -> FilePart:
        """Read on to the file part. Call `finish` after its chunks and before completing anything."""
        for part in self:
            if isinstance(part, FilePart):
                return part
        raise AssertionError("an upload without a file is refused before a driver sees it")

    def finish(self) -> Digest:
        """Read what follows the file and return the digest; raises when the upload must not be published."""
        for _ in self:
            pass
        return self.digest()


@dataclass(frozen=True, slots=True)
class Digest:
    """Size and checksums of the bytes that passed."""

    bytes: int
    sha256: str


@dataclass(slots=True)
class Download:
    """The bytes of a file. Call `close` when done, also after an exception.

    length: number of bytes that `chunks` yields, None when the provider does not say.
    content_range: (first, last, total) where a range was asked for and honoured.
    """

    chunks: Iterator[bytes]
    close: Callable[[], None]
    length: int | None = None
    content_type: str | None = None
    content_range: tuple[int, int, int] | None = None


@dataclass(frozen=True, slots=True)
class ByteRange:
    """A single byte range: `first` None means the last `last` bytes; `last` None means to the end."""

    first: int | None
    last: int | None

    def header(self) -> str:
        """Return the value of a `Range` header."""
        return f"bytes={'' if self.first is None else self.first}-{'' if self.last is None else self.last}"
