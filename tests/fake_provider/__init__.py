"""A scriptable stand-in for every provider's Files API, on loopback only.

    with FakeProvider() as fake:
        fake.script({"method": "POST", "path": "/files$"}, behaviours.store_then_drop())
        ...  # point a driver at fake.url("openai") with the key VALID_KEY
        assert [stored.filename for stored in fake.store("openai")] == ["a.jsonl"]

What the dialects do follows the vendors' public references as of 2026-11-23; each module names them.
"""

from . import behaviours
from .dialects.base import SECOND_KEY, VALID_KEY
from .records import RecordedPart, RecordedRequest
from .remote import RemoteFakeProvider
from .script import Behaviour, CannedAnswer, Match
from .server import FakeProvider
from .storage import StoredFile

__all__ = [
    "SECOND_KEY",
    "VALID_KEY",
    "Behaviour",
    "CannedAnswer",
    "FakeProvider",
    "Match",
    "RecordedPart",
    "RecordedRequest",
    "RemoteFakeProvider",
    "StoredFile",
    "behaviours",
]
