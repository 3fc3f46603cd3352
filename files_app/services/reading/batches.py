"""Which files belong to one batch: what a job read, and what became of it."""

from __future__ import annotations

from files_app.models import File

_MOST = 100


def files_of_batch(file: File) -> list[File]:
    """Return the other files of a batch that clients can see, the input first; jobs may have run twice."""
    input_id = (file.batch or {}).get("input_file_id") if file.result_part else file.file_id
    if input_id is None or (file.purpose != "batch" and not file.result_part):
        return []
    here = File.objects.for_organization(file.organization_id).live().exclude(pk=file.pk)
    inputs = here.filter(file_id=input_id)[:1] if file.result_part else here.none()
    made = here.filter(purpose="batch_output", account=file.account_id, batch__input_file_id=input_id)
    return [*inputs, *made.newest_first()[:_MOST]]
