import re
from datetime import date

from providers.batches.targets.table import TARGETS, Target
from tests.stack import PROJECT

PAGE = PROJECT / "docs" / "batch-lines.md"
#: What each row is for, as people say it.
MODELS = {
    "openai": "OpenAI's models, `job: openai`",
    "bedrock-invoke-openai": "OpenAI's models, `job: invoke`",
    "bedrock-converse": "all other chat at Bedrock",
    "bedrock-invoke-titan-embed": "Titan Text Embeddings V2",
    "bedrock-invoke-cohere-embed": "Cohere Embed 3 and 4",
    "vertex-gemini": "Gemini",
    "vertex-claude": "Claude at Vertex",
    "vertex-gemini-embed": "Gemini embeddings",
    "vertex-text-embed": "older text embeddings",
}


def row(target: Target) -> str:
    """Return a target's row of the page."""
    least = f"{target.min_records} to " if target.min_records > 1 else "up to "
    cells = (
        f"`{target.format}`",
        MODELS[target.format],
        f"`{target.endpoint}`",
        f"{least}{target.max_records:,}",
        f"[{target.checked}]({target.source})",
    )
    return f"| {' | '.join(cells)} |"


def test_the_page_shows_the_table() -> None:
    shown = re.search(r"<!-- targets:start -->\n.*\n.*\n((?:.*\n)*?)<!-- targets:end -->", PAGE.read_text())
    assert shown is not None
    assert shown[1].splitlines() == [*map(row, TARGETS)]


def test_every_row_says_where_its_facts_are_from_and_when() -> None:
    for target in TARGETS:
        assert target.source.startswith("https://docs.")
        assert date.fromisoformat(target.checked) <= date.today()
    assert len({target.format for target in TARGETS}) == len(TARGETS)
