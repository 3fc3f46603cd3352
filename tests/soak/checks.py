"""The invariants, looked at from outside when the gateway has healed.

Kinds of what is found:
    lost     an accepted file is not there, not listed, or its provider does not hold it (I1)
    wrong    other bytes than were sent; a file that was refused or deleted is shown (I1, I2, I4)
    drift    counters that differ from what is there (I3)
    orphan   a provider holds what no file of ours explains, half-written files included (I2, I4)
    leak     a file of another tenant, or a secret where it does not belong (I5, I6)
    left     files, memory or transactions that nobody uses any more (I7)
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import psycopg
import requests

from tests.faults.gateway import Tenant, digest
from tests.providers.stores import SECRET_KEY
from tests.soak.clients import Sent
from tests.soak.holdings import Holding
from tests.soak.world import Party, World

KINDS = ("lost", "wrong", "drift", "orphan", "leak", "left")
Finding = tuple[str, str]
_UNKNOWN = "file-aaaaaaaaaaaaaaaaaaaaaaaaaa"


def check(world: World, rng: random.Random, *, sample: int | None = 20) -> list[Finding]:
    """Hold everything against what the clients were told.

    sample: of how many older files of each tenant the bytes are read; None for all.
    """
    found: list[Finding] = []
    for party in world.parties:
        found += party.ledger.faults
        party.ledger.faults = []
        found += _settled(party)
        found += _bytes(party, rng, sample)
        found += _held(world, party)
        found += _usage(party)
    found += [("drift", str(drift)) for drift in world.order("recount")]
    found += _crossing(*world.parties)
    found += _secrets(world)
    found += _left(world)
    return found


def _settled(party: Party) -> Iterator[Finding]:
    """Compare the list with the ledger, and learn from it what became of what nobody answered."""
    ledger = party.ledger
    shown = {file["id"]: file for file in _listed(party.tenant)}
    for file_id, sent in ledger.doubted.items():
        if file_id in shown:
            ledger.kept[file_id] = sent
        else:
            ledger.deleted.add(file_id)
        ledger.fresh.add(file_id)
    ledger.doubted = {}
    for file_id in shown.keys() - ledger.kept.keys():
        sent_name = shown[file_id]["filename"]
        unheard = ledger.unheard.pop(sent_name, None)
        if file_id in ledger.deleted:
            yield "wrong", f"{file_id} was deleted and is listed"
        elif unheard is None or unheard.size != shown[file_id]["bytes"]:
            yield "wrong", f"{file_id} is listed, and nobody was told of it: {shown[file_id]}"
        else:
            ledger.kept[file_id] = unheard
            ledger.fresh.add(file_id)
    ledger.unheard = {}
    for file_id in ledger.kept.keys() - shown.keys():
        yield "lost", f"{file_id} ({ledger.kept[file_id]}) is not listed"


def _listed(tenant: Tenant) -> Iterator[dict[str, object]]:
    """Yield every file of the list, page by page."""
    after = ""
    while True:
        answer = tenant.request("GET", f"/v1/files?limit=1000{after}")
        answer.raise_for_status()
        page = answer.json()
        yield from page["data"]
        if not page["has_more"]:
            return
        after = f"&after={page['last_id']}"


def _bytes(party: Party, rng: random.Random, sample: int | None) -> Iterator[Finding]:
    """Read what this round touched, and some of what it did not."""
    ledger, tenant = party.ledger, party.tenant
    older = sorted(ledger.kept.keys() - ledger.fresh)
    picked = older if sample is None else rng.sample(older, min(sample, len(older)))
    for file_id in [*picked, *sorted(ledger.kept.keys() & ledger.fresh)]:
        answer = tenant.content(file_id)
        if answer.status_code != 200:
            yield "lost", f"content of {file_id}: {answer.status_code} {answer.text[:200]}"
        elif digest(answer.content) != ledger.kept[file_id].sha256:
            yield "wrong", f"content of {file_id} ({ledger.kept[file_id]})"
    for file_id in sorted(ledger.deleted & ledger.fresh):
        for answer in (tenant.retrieve(file_id), tenant.content(file_id), tenant.delete(file_id)):
            if answer.status_code != 404:
                yield "wrong", f"{file_id} was deleted: {answer.request.method} {answer.status_code}"
    ledger.fresh = set()


def unexplained(world: World, party: Party) -> set[str]:
    """Return what the tenant's providers hold and no available file of it explains."""
    rows = world.order("copies", organization=party.tenant.organization)
    explained = {row["remote_id"] for row in rows if row["state"] == "available"}
    return set().union(*(holding.remote_ids() for holding in party.holdings)) - explained


def _held(world: World, party: Party) -> Iterator[Finding]:
    """Compare each provider's contents with the files that are there."""
    rows = world.order("copies", organization=party.tenant.organization)
    names = {row["file__file_id"]: row["remote_id"] for row in rows if row["state"] == "available"}
    ledger = party.ledger
    for holding in party.holdings:
        here = {file_id: sent for file_id, sent in ledger.kept.items() if sent.account == holding.name}
        yield from _held_here(holding, here, names)


def _held_here(holding: Holding, here: dict[str, Sent], names: dict[str, str]) -> Iterator[Finding]:
    held = holding.remote_ids()
    for file_id, sent in here.items():
        if names.get(file_id) not in held:
            yield "lost", f"{holding.name} does not hold {file_id} ({sent})"
    for remote_id in sorted(held - {names.get(file_id) for file_id in here}):
        yield "orphan", f"{holding.name} holds {remote_id}"
    if strays := holding.strays():
        yield "orphan", f"{holding.name} holds {strays} half-written files"


def check_digests(world: World) -> Iterator[Finding]:
    """Read every file at its provider, past the gateway."""
    for party in world.parties:
        rows = world.order("copies", organization=party.tenant.organization)
        names = {row["file__file_id"]: row["remote_id"] for row in rows if row["state"] == "available"}
        holdings = {holding.name: holding for holding in party.holdings}
        for file_id, sent in party.ledger.kept.items():
            if holdings[sent.account].sha256(names[file_id]) != sent.sha256:
                yield "wrong", f"{sent.account} holds other bytes of {file_id}"


def _usage(party: Party) -> Iterator[Finding]:
    kept = party.ledger.kept.values()
    expected = (sum(sent.size for sent in kept), 0, len(kept))
    if (usage := party.tenant.usage()) != expected:
        yield "drift", f"usage is {usage}, and there is {expected}"


def _crossing(one: Party, other: Party) -> Iterator[Finding]:
    """Another tenant's file and one that never was get the same answer."""
    for here, there in ((one, other), (other, one)):
        for file_id in list(there.ledger.kept)[-3:]:
            for path in ("", "/content"):
                answers = [
                    here.tenant.request("GET", f"/v1/files/{name}{path}") for name in (file_id, _UNKNOWN)
                ]
                if _shape(answers[0], file_id) != _shape(answers[1], _UNKNOWN):
                    yield "leak", f"{file_id}{path} for another tenant: {answers[0].text[:200]}"


def _shape(answer: requests.Response, file_id: str) -> tuple[int, str]:
    return answer.status_code, answer.text.replace(file_id, "")


def _secrets(world: World) -> Iterator[Finding]:
    """No key and no credential in a log, the database or the metrics."""
    texts = {f"log of {part}": world.stack.log(part) for part in world.stack.processes}
    texts["database"] = world.order("database_text")
    texts["metrics"] = requests.get(f"{world.stack.url}/metrics", timeout=30).text
    keys = {party.tenant.key for party in world.parties}
    for secret in keys | {SECRET_KEY, world.stack.api_key, world.stack.admin_password}:
        for name, text in texts.items():
            if secret in text:
                yield "leak", f"a secret is in the {name}"


def _left(world: World) -> Iterator[Finding]:
    """No temporary file, no transaction that nobody ends."""
    for folder in ("spool", "tmp"):
        for path in (world.stack.data_dir / folder).rglob("*"):
            if path.is_file():
                yield "left", f"{path} on the disk"
    if world.database is not None:
        with psycopg.connect(world.stack.environment["DATABASE_URL"]) as connection:
            idle = connection.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'"
                " AND state_change < now() - interval '2 seconds'"
            ).fetchone()
            if idle and idle[0]:
                yield "left", f"{idle[0]} transactions that nobody ends"
