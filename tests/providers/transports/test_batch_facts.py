"""Facts about batch lines in one short value, which others may have written."""

from __future__ import annotations

import base64
import json
import re
import zlib
from dataclasses import replace

import pytest

from providers.objects import BatchFacts
from providers.transports.batch_facts import MAX_CHARACTERS, pack_facts, unpack_facts

FACTS = BatchFacts(
    "bedrock-converse",
    50_000,
    2**30,
    "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.amazon.nova-lite-v1:0",
    "/v1/chat/completions",
    ("metadata", "store", "user"),
    ("few",),
)


@pytest.mark.parametrize(
    "facts", [FACTS, replace(FACTS, model=None, endpoint=None, ignored=(), warnings=(), is_rendered=False)]
)
def test_facts_survive(facts: BatchFacts) -> None:
    packed = pack_facts(facts)
    assert packed is not None
    assert re.fullmatch("[A-Za-z0-9_-]+", packed)
    assert len(packed) <= MAX_CHARACTERS
    assert unpack_facts(packed) == facts


def test_what_does_not_fit_is_left_out_from_the_end() -> None:
    words = tuple(f"{number}-{hash(str(number))}" for number in range(40))
    assert unpack_facts(pack_facts(replace(FACTS, warnings=words)) or "") == replace(FACTS, warnings=())
    without = replace(FACTS, ignored=(), warnings=())
    assert unpack_facts(pack_facts(replace(FACTS, ignored=words)) or "") == without
    assert pack_facts(replace(FACTS, model="".join(words))) is None


def packed(value: object) -> str:
    return base64.urlsafe_b64encode(zlib.compress(json.dumps(value).encode())).decode()


@pytest.mark.parametrize(
    "value",
    [
        "",
        "?",
        "AAAA",
        packed("text"),
        packed([]),
        packed(["f", "1", 2, None, None, [], [], True]),
        packed(["f", 1, 2, 3, None, [], [], True]),
        packed(["f", 1, 2, None, None, [4], [], True]),
        packed(["f", 1, 2, None, None, [], [], 1]),
        packed(["f", True, 2, None, None, [], [], True]),
        packed(["f" * 10**6, 1, 2, None, None, [], [], True]),
    ],
)
def test_anything_else_is_nothing(value: str) -> None:
    assert unpack_facts(value) is None
