"""What a job does to many files in one transaction, by few statements for all of them.

Each kind first sorts the files by what was read of them, without a lock: `ready` are done together, `refused`
are not done, and what is neither is done one by one, by `actions`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from files_app.exceptions import FileHeldError, GatewayError
from files_app.models import File, FileJob, FileState, JobKind
from files_app.models.states import DELETABLE_STATES
from files_app.services.bulk import actions, exports
from files_app.services.deletes import outbox
from files_app.services.deletes.expiry import set_expiries, why_not_until
from files_app.services.index.callers import Caller


@dataclass(frozen=True, slots=True)
class Plan:
    """refused: why, by primary key."""

    ready: list[File] = field(default_factory=list)
    refused: dict[int, str] = field(default_factory=dict)


class Together(NamedTuple):
    """How a kind of job does many files.

    plan: sorts them. do: does those that are ready, inside the caller's transaction, and returns in words
    what became of each, by primary key; None where one of them has changed meanwhile: the caller rolls back,
    and they are done one by one.
    """

    plan: Callable[[FileJob, Sequence[File]], Plan]
    do: Callable[[FileJob, Sequence[File], Caller], Mapping[int, str] | None]


def _plan_delete(job: FileJob, files: Sequence[File]) -> Plan:
    plan = Plan()
    for file in files:
        try:
            actions.refuse_kept(file, job.actor_type)
            if file.is_held and file.state in DELETABLE_STATES:
                raise FileHeldError(file.file_id)
        except GatewayError as exc:
            plan.refused[file.pk] = exc.message
        else:
            if file.state == FileState.AVAILABLE:
                plan.ready.append(file)
    return plan


def _delete(job: FileJob, files: Sequence[File], caller: Caller) -> Mapping[int, str] | None:
    if not outbox.delete_files(files, caller=caller, reason=actions.reason_in(job.arguments)):
        return None
    return {file.pk: actions.deleted(file, job.actor_type) for file in files}


def _plan_expiry(job: FileJob, files: Sequence[File]) -> Plan:
    plan = Plan()
    available = [file for file in files if file.state == FileState.AVAILABLE]
    refusals = why_not_until(available, actions.end_in(job.arguments))
    for file in available:
        if file.pk in refusals:
            plan.refused[file.pk] = refusals[file.pk].message
        elif file.is_held:
            plan.refused[file.pk] = FileHeldError(file.file_id).message
        else:
            plan.ready.append(file)
    return plan


def _expire(job: FileJob, files: Sequence[File], caller: Caller) -> Mapping[int, str] | None:
    when = actions.end_in(job.arguments)
    if not set_expiries(files, when, caller=caller):
        return None
    return dict.fromkeys((file.pk for file in files), actions.ending(when))


def _plan_export(job: FileJob, files: Sequence[File]) -> Plan:
    withheld = {file.pk: actions.MAY_BE_ANOTHERS for file in files if file.is_withheld}
    return Plan([file for file in files if not file.is_withheld], withheld)


def _export(job: FileJob, files: Sequence[File], caller: Caller) -> Mapping[int, str]:
    exports.write(job, files)
    return dict.fromkeys((file.pk for file in files), "exported")


#: Kinds that are not here ask a provider for each file.
TOGETHER: dict[str, Together] = {
    JobKind.DELETE: Together(_plan_delete, _delete),
    JobKind.EXPIRE: Together(_plan_expiry, _expire),
    JobKind.EXPORT: Together(_plan_export, _export),
}
