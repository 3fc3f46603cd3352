"""Realistic data for screenshots and browser tests: six organizations, a month of work, a few troubles.

manage.py shell -c "from tests.files_app.admin.demo import build; build()"
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
from collections.abc import Iterator
from datetime import datetime, timedelta

from django.utils import timezone

from files_app.models import (
    ApiKey,
    AuditEvent,
    CopyState,
    DeletedReason,
    File,
    FileCopy,
    FileState,
    Heartbeat,
    Organization,
    ProviderAccount,
    ResultPart,
)
from files_app.services.accounts.saving import save_account
from files_app.services.index.callers import Caller
from files_app.services.index.ids import new_file_id
from files_app.services.index.usage import recount_all
from files_app.services.operations.demo.contents import picture
from files_app.services.tenants.keys import create_key
from files_app.services.uploads.begin import upload_file
from files_app.services.uploads.request import UploadRequest
from files_app.streams.raw import RawSource
from tests.files_app.admin.results import answer, as_result, failure

GIB = 1024**3
MIB = 1024**2
DAYS = 30
HOSTILE_ERROR = "<img src=x onerror=document.title=1> is no image that this model takes."

#: name -> (share of its quota that is used, quota, how busy it is)
ORGANIZATIONS = {
    "acme-research": (0.97, 100 * GIB, 14),
    "northwind": (0.86, 100 * GIB, 9),
    "globex-labs": (0.41, 250 * GIB, 11),
    "initech": (0.22, 100 * GIB, 5),
    "umbrella-health": (0.08, 500 * GIB, 3),
}
#: name -> (driver, options, credentials, the organization that owns it or None for shared)
ACCOUNTS: dict[str, tuple[str, dict[str, str], dict[str, str], str | None]] = {
    "openai-prod": ("openai", {}, {"api_key": "sk-demo-not-a-real-key-4f7a91"}, "acme-research"),
    "anthropic": ("anthropic", {}, {"api_key": "env:DEMO_ANTHROPIC_KEY"}, None),
    "bedrock-archive": (
        "bedrock",
        {"bucket": "acme-llm-files", "region": "eu-central-1"},
        {"access_key_id": "AKIADEMODEMODEMO0000", "secret_access_key": "demo-not-a-real-secret-key-88c2"},
        "globex-labs",
    ),
    "mistral-eu": ("mistral", {}, {"api_key": "demo-not-a-real-mistral-key-11d0"}, "northwind"),
    "groq-batch": ("groq", {}, {"api_key": "gsk_demo_not_a_real_key_2c77aa"}, "initech"),
    "disk": ("local", {}, {}, None),
}
NAMES = (
    ("batch", ("nightly-embeddings-{day}.jsonl", "eval-suite-{n}.jsonl", "ticket-summaries-{day}.jsonl")),
    ("fine-tune", ("support-tone-v{n}.jsonl", "contract-clauses-train-{n}.jsonl")),
    ("assistants", ("employee-handbook-2026.pdf", "price-list-q{q}.csv", "incident-runbook-{n}.md")),
    ("user_data", ("invoice-{n}.pdf", "call-transcript-{n}.txt", "survey-answers-{day}.csv")),
    ("vision", ("shelf-photo-{n}.jpg", "floor-plan-{n}.png")),
)
ERRORS = {
    "OpenAI did not answer in time.": "unavailable",
    "The batch file is not valid: line 812: 'custom_id' was used before, in line 17": "invalid",
    "The file is too large: the limit for a file of purpose 'batch' at Groq is 100 MiB.": "too_large",
}


def build(*, files: int = 420, seed: int = 7) -> None:
    """Fill an empty gateway with demo data; the same seed gives the same data."""
    dice = random.Random(seed)
    os.environ.setdefault("DEMO_ANTHROPIC_KEY", "sk-ant-demo-not-a-real-key")
    organizations = _organizations()
    accounts = _accounts(organizations)
    keys = _keys(organizations)
    _files(dice, files, organizations, accounts, keys)
    _activity(dice, organizations, accounts)
    _deletions(dice, organizations, accounts)
    _real_files(organizations["acme-research"])
    recount_all()
    _fill(organizations)
    Heartbeat.objects.update_or_create(name="worker", defaults={"seen_at": timezone.now()})


def _organizations() -> dict[str, Organization]:
    return {
        name: Organization.objects.create(name=name, quota_bytes=quota)
        for name, (_, quota, _) in ORGANIZATIONS.items()
    }


def _accounts(organizations: dict[str, Organization]) -> dict[str, ProviderAccount]:
    accounts = {}
    for name, (driver, options, credentials, owner) in ACCOUNTS.items():
        account = ProviderAccount(
            name=name,
            driver=driver,
            options=options,
            organization=organizations[owner] if owner else None,
            is_default=owner is not None,
        )
        save_account(account, credentials)
        if owner:
            _pretend_sync(account, hours=len(accounts))
        accounts[name] = account
    return accounts


def _pretend_sync(account: ProviderAccount, *, hours: int) -> None:
    """Make up the last sync. Run the demo without a worker, which would ask the real providers."""
    failed = account.name == "mistral-eu"
    ProviderAccount.objects.filter(pk=account.pk).update(
        last_synced_at=timezone.now() - timedelta(minutes=4, hours=30 * hours if failed else 0),
        last_sync_error="Mistral refuses the credentials of this account." if failed else "",
    )


def _keys(organizations: dict[str, Organization]) -> dict[str, ApiKey]:
    keys = {}
    for place, organization in enumerate(organizations.values()):
        caller = Caller(organization.pk, AuditEvent.Actor.USER, "admin")
        key, _ = create_key(organization=organization, name="production", caller=caller)
        create_key(
            organization=organization,
            name="ci-readonly",
            caller=caller,
            scopes=["files:read"],
            expires_at=timezone.now() + timedelta(days=3 + 40 * place),
        )
        used = {"last_used_at": timezone.now() - timedelta(minutes=7 * place), "last_used_ip": "10.20.3.17"}
        ApiKey.objects.filter(pk=key.pk).update(**used)
        keys[organization.name] = key
    return keys


def _files(
    dice: random.Random,
    number: int,
    organizations: dict[str, Organization],
    accounts: dict[str, ProviderAccount],
    keys: dict[str, ApiKey],
) -> None:
    weights = [busy for _, _, busy in ORGANIZATIONS.values()]
    rows = []
    for place in range(number):
        name = dice.choices(list(organizations), weights)[0]
        usable = [a for a in accounts.values() if a.organization is None or a.organization.name == name]
        rows.append(_file(dice, place, organizations[name], dice.choice(usable), keys[name]))
    File.objects.bulk_create(rows)
    FileCopy.objects.bulk_create([_copy(file) for file in rows])
    failed = [file for file in rows if file.state == FileState.FAILED]
    AuditEvent.objects.bulk_create([_end_of(dice, file) for file in failed])


def _file(
    dice: random.Random, place: int, organization: Organization, account: ProviderAccount, key: ApiKey | None
) -> File:
    purpose, patterns = NAMES[dice.choices(range(len(NAMES)), [9, 3, 4, 6, 2])[0]]
    when = timezone.now() - timedelta(days=DAYS * dice.random() ** 1.4, minutes=5)
    filename = dice.choice(patterns).format(
        n=dice.randint(100, 999), q=dice.randint(1, 4), day=f"{when:%Y-%m-%d}"
    )
    states = [FileState.AVAILABLE, FileState.DELETED, FileState.FAILED, FileState.LOST]
    state = dice.choices(states, [88, 7, 4, 1])[0]
    why = dice.choice(list(ERRORS)) if state == FileState.FAILED else ""
    is_own_id = account.driver in {"local", "bedrock"}
    file_id = new_file_id() if is_own_id else f"file-{dice.getrandbits(96):024x}"
    return File(
        organization=organization,
        account=account,
        api_key=key,
        file_id=file_id,
        filename=filename,
        purpose=purpose,
        content_type="application/jsonl" if filename.endswith("jsonl") else "application/octet-stream",
        bytes=0 if state == FileState.FAILED else int(dice.lognormvariate(15.5, 1.6)),
        sha256=hashlib.sha256(f"{place}".encode()).hexdigest(),
        metadata={"team": dice.choice(["search", "support", "risk"])} if dice.random() < 0.4 else {},
        state=state,
        deleted_reason={FileState.DELETED: "user", FileState.LOST: "lost"}.get(state, ""),
        failure=why,
        failure_kind=ERRORS.get(why, ""),
        created_at=when,
        indexed_at=when,
        state_changed_at=when + timedelta(minutes=1),
        expires_at=timezone.now() + timedelta(days=dice.uniform(0.2, 29)) if dice.random() < 0.3 else None,
    )


def _end_of(dice: random.Random, file: File) -> AuditEvent:
    """Return the event of an upload that failed."""
    return AuditEvent(
        created_at=file.state_changed_at,
        organization=file.organization,
        actor_type=AuditEvent.Actor.API_KEY,
        actor="production",
        action="file.create",
        object_type="file",
        object_id=file.file_id,
        account_name=file.account.name,
        result="failed",
        ip=f"10.20.{dice.randint(0, 9)}.{dice.randint(2, 250)}",
        request_id=f"req_{dice.getrandbits(128):032x}",
        details={"reason": file.failure},
    )


def _copy(file: File) -> FileCopy:
    states = {
        FileState.AVAILABLE: CopyState.AVAILABLE,
        FileState.DELETED: CopyState.DELETED,
        FileState.LOST: CopyState.LOST,
    }
    state = states.get(FileState(file.state), CopyState.FAILED)
    folder = f"acme-llm-files/{file.organization.namespace}/" if file.account.driver == "bedrock" else ""
    remote_id = "" if state == CopyState.FAILED else f"{folder}{file.file_id}"
    return FileCopy(
        file=file, account=file.account, remote_id=remote_id, state=state, created_at=file.created_at
    )


def _activity(
    dice: random.Random, organizations: dict[str, Organization], accounts: dict[str, ProviderAccount]
) -> None:
    events = []
    for days_ago in range(DAYS):
        day = timezone.now() - timedelta(days=days_ago)
        rest = 0.35 if day.weekday() >= 5 else 1.0
        growth = 1.4 - days_ago / DAYS * 0.8
        for name, (_, _, busy) in ORGANIZATIONS.items():
            for action, factor in (("file.create", 1.0), ("file.content", 1.7)):
                for _ in range(int(busy * rest * growth * factor * dice.uniform(0.6, 1.2))):
                    events.append(_event(dice, action, day, organizations[name], accounts))
    AuditEvent.objects.bulk_create(events)


def _event(
    dice: random.Random,
    action: str,
    day: datetime,
    organization: Organization,
    accounts: dict[str, ProviderAccount],
) -> AuditEvent:
    failed = action == "file.create" and dice.random() < 0.035
    moment = min(timezone.now(), day - timedelta(seconds=dice.randint(0, 40_000)))
    return AuditEvent(
        created_at=moment,
        organization=organization,
        actor_type=AuditEvent.Actor.API_KEY,
        actor=dice.choice(["production", "ci-readonly"]),
        action=action,
        object_type="file",
        object_id=f"file-{dice.getrandbits(96):024x}",
        account_name=dice.choice(list(accounts)),
        result="failed" if failed else "ok",
        ip=f"10.20.{dice.randint(0, 9)}.{dice.randint(2, 250)}",
        request_id=f"req_{dice.getrandbits(128):032x}",
        details={"reason": dice.choice(list(ERRORS))} if failed else {"bytes": dice.randint(10**4, 10**8)},
    )


def _deletions(
    dice: random.Random, organizations: dict[str, Organization], accounts: dict[str, ProviderAccount]
) -> None:
    account = accounts["mistral-eu"]
    error = "Mistral refuses the credentials of this account."
    plan = [CopyState.DELETING] * 9 + [CopyState.DEAD] * 2 + [CopyState.UNCONFIRMED]
    for place, state in enumerate(plan):
        file = _file(dice, 10_000 + place, organizations["northwind"], account, None)
        gone = FileState.FAILED if state == CopyState.UNCONFIRMED else FileState.DELETING
        file.state, file.deleted_reason, file.failure = gone, DeletedReason.USER, ""
        file.failure_kind = ""
        file.save()
        since, soon = timezone.now() - timedelta(hours=2 * place + 1), timezone.now() + timedelta(minutes=4)
        FileCopy.objects.create(
            file=file,
            account=account,
            remote_id="" if state == CopyState.UNCONFIRMED else file.file_id,
            state=state,
            attempts=3 + place,
            next_attempt_at=None if state == CopyState.DEAD else soon + timedelta(minutes=7 * place),
            first_attempt_at=since,
            last_error="The answer of the provider was lost." if state == CopyState.UNCONFIRMED else error,
            state_changed_at=since,
        )


def _real_files(organization: Organization) -> None:
    """Store a few files with real bytes, so that preview and download work."""
    for filename, purpose, content_type, content in sample_files():
        _store(organization, filename, purpose, content_type, content)
    asked = File.objects.get(filename="nightly-batch.jsonl", organization=organization)
    for part, content in sample_results():
        name = f"nightly-batch_{'output' if part == ResultPart.OUTPUT else 'error'}.jsonl"
        made = _store(organization, name, "user_data", "application/jsonl", content)
        as_result(made, part, asked, content)


def _store(
    organization: Organization, filename: str, purpose: str, content_type: str, content: bytes
) -> File:
    read = io.BytesIO(content).read
    source = RawSource(read, len(content), filename, content_type, purpose)
    caller = Caller(organization.pk, AuditEvent.Actor.USER, "admin", ip="127.0.0.1")
    metadata = {"team": "search", "job": "nightly"}
    return upload_file(UploadRequest(caller, source, account_name="disk", metadata=metadata))


def sample_results() -> Iterator[tuple[ResultPart, bytes]]:
    """Yield the two files that a job wrote about the first of the sample files."""
    bad = {7: HOSTILE_ERROR, 19: "The prompt has 141,202 tokens; the model takes 128,000.", 44: "Overloaded."}
    numbers = sorted(range(1, 61), key=lambda number: number * 7 % 61)
    good = [
        answer(f"request-{n}", "Mostly negative: the delivery was late twice.", 600 + n * 13 % 400)
        for n in numbers
        if n not in bad
    ]
    wrong = [failure(f"request-{number}", words) for number, words in bad.items()]
    for part, lines in ((ResultPart.OUTPUT, good), (ResultPart.ERRORS, wrong)):
        yield part, "".join(json.dumps(line) + "\n" for line in lines).encode()


def sample_files() -> Iterator[tuple[str, str, str, bytes]]:
    """Yield name, purpose, type and bytes of files that look like real ones."""
    questions = ["Summarise ticket 48121", "Classify the sentiment", "Extract all invoice numbers"]
    lines = [
        {
            "custom_id": f"request-{number}",
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": {"model": "gpt-5-mini", "messages": [{"role": "user", "content": questions[number % 3]}]},
        }
        for number in range(1, 61)
    ]
    batch = "".join(json.dumps(line) + "\n" for line in lines).encode()
    yield "nightly-batch.jsonl", "batch", "application/jsonl", batch
    yield "architecture.png", "vision", "image/png", picture(240, 150)
    yield "runbook.md", "user_data", "text/markdown", b"# Runbook\n\n1. Look at the overview.\n2. Act.\n"


def _fill(organizations: dict[str, Organization]) -> None:
    """Set how full each organization is: with sizes of the files, no list would stay small."""
    for name, (share, quota, _) in ORGANIZATIONS.items():
        row = Organization.objects.get(pk=organizations[name].pk)
        Organization.objects.filter(pk=row.pk).update(quota_bytes=max(quota, row.used_bytes))
        biggest = File.objects.filter(organization=row, state=FileState.AVAILABLE).order_by("-bytes")[:40]
        missing = int(share * quota) - row.used_bytes
        for file in biggest:
            File.objects.filter(pk=file.pk).update(bytes=file.bytes + max(0, missing // max(1, len(biggest))))
    recount_all()
