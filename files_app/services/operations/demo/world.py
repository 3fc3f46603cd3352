"""Who is in the demo: made-up organizations, where their files are, and what these are called."""

from __future__ import annotations

from dataclasses import dataclass, field

GIB = 1024**3


@dataclass(frozen=True, slots=True)
class DemoAccount:
    """An account. What is no account on disk leads to a name under `.invalid` and is switched off."""

    name: str
    driver: str
    options: dict[str, str] = field(default_factory=dict)
    credentials: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DemoOrganization:
    """share: of its quota, how much is used. files: how many it has uploaded in the month."""

    name: str
    quota_bytes: int
    share: float
    files: int
    accounts: tuple[DemoAccount, ...]
    keys: tuple[str, ...] = ("production", "ci-readonly")


def _elsewhere(name: str, driver: str, **credentials: str) -> DemoAccount:
    credentials = credentials or {"api_key": "demo-not-a-real-key-0000"}
    return DemoAccount(name, driver, {"base_url": f"https://{driver}.demo.invalid/v1"}, credentials)


_DISK = DemoAccount("disk", "local")
_BUCKET = DemoAccount(
    "bedrock-archive",
    "bedrock",
    {"bucket": "globex-llm-files", "region": "eu-central-1", "endpoint_url": "https://s3.demo.invalid"},
    {"access_key_id": "AKIADEMODEMODEMO0000", "secret_access_key": "demo-not-a-real-secret-key-0000"},
)
ORGANIZATIONS = (
    DemoOrganization(
        "acme-research",
        20 * GIB,
        0.97,
        190,
        (_DISK, _elsewhere("openai-prod", "openai")),
        ("production", "nightly"),
    ),
    DemoOrganization("northwind", 20 * GIB, 0.86, 120, (_DISK, _elsewhere("mistral-eu", "mistral"))),
    DemoOrganization("globex-labs", 50 * GIB, 0.41, 150, (_DISK, _BUCKET)),
    DemoOrganization("initech", 10 * GIB, 0.22, 70, (_DISK, _elsewhere("groq-batch", "groq"))),
    DemoOrganization("umbrella-health", 50 * GIB, 0.08, 40, (_DISK, _elsewhere("anthropic", "anthropic"))),
)
#: purpose -> (how often, names)
NAMES = {
    "batch": (9, ("nightly-embeddings-{day}.jsonl", "eval-suite-{n}.jsonl", "ticket-summaries-{day}.jsonl")),
    "fine-tune": (3, ("support-tone-v{n}.jsonl", "contract-clauses-train-{n}.jsonl")),
    "assistants": (4, ("employee-handbook-2026.pdf", "price-list-q{q}.csv", "incident-runbook-{n}.md")),
    "user_data": (6, ("invoice-{n}.pdf", "call-transcript-{n}.txt", "survey-answers-{day}.csv")),
    "vision": (2, ("shelf-photo-{n}.jpg", "floor-plan-{n}.png")),
}
TEAMS = ("search", "support", "risk")
FAILURES = (
    "The provider did not answer in time.",
    "The batch file is not valid: line 812: 'custom_id' was used before, in line 17",
    "The file is too large: the limit for a file of purpose 'batch' is 100 MiB.",
)
SILENT = "The provider did not answer: its name cannot be resolved."
