"""Results: what batch jobs write into a bucket, and their translations into OpenAI's lines beside it.

    <folder>/<file id>.jsonl.out                       what a job wrote; others write predictions.jsonl ...
    <folder>/translated/<file id>.jsonl.out.output.jsonl      its answers as OpenAI's output lines
    <folder>/translated/<file id>.jsonl.out.errors.jsonl      its failures as lines of OpenAI's error file

What one job wrote about one input may be several objects: answers, errors, shards and a summary. One of them
stands for all. Every name follows from that one's, so that whoever deletes it needs no other knowledge.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from providers.objects import Digest, RemoteFile, RemotePage

#: Which of OpenAI's two files a translation is.
ResultPart: TypeAlias = Literal["output", "errors"]
RESULT_PARTS: Final[tuple[ResultPart, ...]] = ("output", "errors")

_FILE_ID: Final = r"(file-[A-Za-z0-9_-]{1,59})"
_INPUT_NAME: Final = re.compile(rf"{_FILE_ID}\.jsonl")
_RESULTS_FOLDER: Final = re.compile(rf"/results/{_FILE_ID}/(?!.*/results/file-)")
_TRANSLATION: Final = re.compile(
    r"(?P<folder>(?:.*/)?)translated/(?P<name>[^/]+)\.(?P<part>output|errors)\.jsonl"
)


@dataclass(frozen=True, slots=True)
class ResultName:
    """What the name of an object says about the job that wrote it.

    group: the same for all that belongs together: what those remote ids start with. order: the object with
    the least stands for the group. input_id: of the file that the job read, where the name or a folder says.
    is_summary: no rows, but what a job says about all groups of the folder, which is the group.
    """

    group: str
    order: tuple[bool, str]
    input_id: str | None = None
    is_summary: bool = False


def result_name(names: re.Pattern[str], remote_id: str) -> ResultName | None:
    """Return what the name of an object says; None for what is no result that can be translated.

    names: matches the names that jobs give; its group `stem` is what belongs together inside of a folder,
    without it all does; `later` is there where another object stands for the group; `summary` for a summary.
    """
    folder, slash, name = remote_id.rpartition("/")
    match = names.fullmatch(name)
    if match is None:
        return None
    found = match.groupdict()
    stem = found.get("stem") or ""
    by_name = _INPUT_NAME.fullmatch(stem)
    by_folder = _RESULTS_FOLDER.search(f"/{folder}/")
    known = by_name or by_folder
    return ResultName(
        group=f"{folder}{slash}{stem}",
        order=(found.get("later") is not None, name),
        input_id=known[1] if known else None,
        is_summary=found.get("summary") is not None,
    )


def translation_id(remote_id: str, part: ResultPart) -> str:
    """Return where a translation of the result `remote_id` is, whether a remote id or a key."""
    folder, slash, name = remote_id.rpartition("/")
    return f"{folder}{slash}translated/{name}.{part}.jsonl"


def translated_from(names: re.Pattern[str], remote_id: str) -> str | None:
    """Return of which result `remote_id` is a translation; None for what is none."""
    match = _TRANSLATION.fullmatch(remote_id)
    return f"{match['folder']}{match['name']}" if match and names.fullmatch(match["name"]) else None


class JobResults(ABC):
    """What batch jobs wrote where a driver keeps its files. The methods raise ProviderError.

    One of the objects that a job wrote about one input stands for all of them: `remote_id` names that one.
    """

    @abstractmethod
    def name_of(self, remote_id: str) -> ResultName | None:
        """Return what the name of an object says of the job; None for what is no result."""

    @abstractmethod
    def list_page(self, *, namespace: str, cursor: str | None = None) -> RemotePage:
        """Return one page of what lies in the results folder of an organization."""

    @abstractmethod
    def parts(self, remote_id: str) -> tuple[RemoteFile, ...]:
        """Return all that belongs to a result, in the order in which to read it; its summary is the last."""

    @abstractmethod
    def translate(
        self, remote_id: str, lines: Iterator[tuple[ResultPart, bytes]]
    ) -> Mapping[ResultPart, Digest]:
        """Keep OpenAI's lines of a result beside it, and return size and checksum of each file.

        There always is an output file; a file of errors only if there are any. Nobody sees either before
        `lines` has ended; what a predecessor left is replaced. Raises what `lines` raises, too.
        """

    @abstractmethod
    def delete(self, remote_id: str) -> None:
        """Delete a result with its translations and with all that belongs to it.

        A summary is about all inputs of a job and goes with the last. Raises RemoteFileNotFoundError.
        """

    @abstractmethod
    def delete_translations(self, remote_id: str) -> None:
        """Delete what was translated of a result, if anything was."""
