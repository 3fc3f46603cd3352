"""What came with an API key: files, failures, events; counted to a limit, with links to all of it."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode

from django.db.models import Count, Q, Sum
from django.http import HttpRequest
from django.urls import reverse

from files_app.admin.paginator import MAX_COUNTED
from files_app.models import ApiKey, AuditEvent, File, FileState
from files_app.words import short_bytes


@dataclass(frozen=True, slots=True)
class Use:
    """One line: what it counts, how much of it there is in words, and where it is listed."""

    name: str
    text: str
    link: str


def use_of(request: HttpRequest, key: ApiKey) -> list[Use]:
    """Return what came with a key, as far as the user may see it."""
    lines = []
    if request.user.has_perm("files_app.view_file"):
        lines += [_files(key), _failures(key)]
    if request.user.has_perm("files_app.view_auditevent"):
        lines.append(_events(key))
    return lines


def _files(key: ApiKey) -> Use:
    stored = File.objects.filter(api_key=key, state=FileState.AVAILABLE).newest_first()
    found = stored.values("pk", "bytes")[: MAX_COUNTED + 1].aggregate(rows=Count("*"), size=Sum("bytes"))
    size = short_bytes(int(found["size"] or 0))
    more = "more than " if found["rows"] > MAX_COUNTED else ""
    text = f"{_capped(found['rows'])} stored, {more}{size}"
    return Use("Files", text, _listed("file", by=f"key-{key.pk}"))


def _failures(key: ApiKey) -> Use:
    failed = File.objects.filter(api_key=key, state=FileState.FAILED).newest_first()
    number = failed.values("pk")[: MAX_COUNTED + 1].count()
    link = _listed("file", by=f"key-{key.pk}", state=FileState.FAILED.value)
    return Use("Failed uploads", _capped(number), link)


def _events(key: ApiKey) -> Use:
    """Count the key's events among the newest of its organization: no index has them apart."""
    since = AuditEvent.objects.filter(organization=key.organization_id, created_at__gte=key.created_at)
    newest = since.order_by("-created_at").values("pk", "actor", "actor_type")[:MAX_COUNTED]
    mine = Q(actor=key.name, actor_type=AuditEvent.Actor.API_KEY)
    found = newest.aggregate(rows=Count("pk"), mine=Count("pk", filter=mine))
    text = f"{found['mine']:,}"
    if found["rows"] == MAX_COUNTED:
        text += f" of the organization's last {MAX_COUNTED:,}"
    link = _listed(
        "auditevent",
        q=key.name,
        organization=str(key.organization_id),
        actor_type=AuditEvent.Actor.API_KEY.value,
        since=f"{key.created_at:%Y-%m-%d}",
    )
    return Use("Events", text, link)


def _capped(number: int) -> str:
    return f"{number:,}" if number <= MAX_COUNTED else f"{MAX_COUNTED:,}+"


def _listed(model: str, **question: str) -> str:
    return f"{reverse(f'admin:files_app_{model}_changelist')}?{urlencode(question)}"
