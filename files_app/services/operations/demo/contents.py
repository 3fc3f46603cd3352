"""Bytes of files that look like real ones, so that previews and downloads have something to show."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator

_QUESTIONS = ("Summarise ticket 48121", "Classify the sentiment", "Extract all invoice numbers")


def sample_files() -> Iterator[tuple[str, str, str, bytes]]:
    """Yield name, purpose, media type and bytes."""
    yield "nightly-batch.jsonl", "batch", "application/jsonl", _batch(60)
    yield "eval-suite-smoke.jsonl", "batch", "application/jsonl", _batch(12)
    yield "support-tone.jsonl", "fine-tune", "application/jsonl", _conversations()
    yield "price-list-q4.csv", "user_data", "text/csv", _table()
    yield "survey-answers.json", "user_data", "application/json", _survey()
    yield "architecture.png", "vision", "image/png", picture(240, 150)
    yield "runbook.md", "user_data", "text/markdown", b"# Runbook\n\n1. Look at the overview.\n2. Act.\n"
    yield (
        "call-transcript-311.txt",
        "user_data",
        "text/plain",
        b"Agent: Good morning.\nCaller: It is late.\n" * 40,
    )


def _lines(documents: Iterator[object]) -> bytes:
    return "".join(json.dumps(document) + "\n" for document in documents).encode()


def _batch(number: int) -> bytes:
    return _lines(
        {
            "custom_id": f"request-{place}",
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": {
                "model": "gpt-5-mini",
                "messages": [{"role": "user", "content": _QUESTIONS[place % len(_QUESTIONS)]}],
            },
        }
        for place in range(1, number + 1)
    )


def _conversations() -> bytes:
    answer = {"role": "assistant", "content": "I am sorry to hear that. I have sent a new one today."}
    return _lines(
        {"messages": [{"role": "user", "content": f"Order {place} never came."}, answer]}
        for place in range(1, 31)
    )


def _table() -> bytes:
    rows = (f"{1000 + place},Sensor {place},{place * 7 % 90 + 9}.50,EUR" for place in range(1, 81))
    return "\n".join(("sku,name,price,currency", *rows, "")).encode()


def _survey() -> bytes:
    answers = [
        {"id": place, "score": place * 3 % 10 + 1, "would_recommend": place % 3 > 0} for place in range(1, 25)
    ]
    return json.dumps({"survey": "2026-q4", "answers": answers}).encode()


def picture(width: int, height: int) -> bytes:
    """Return a small PNG with a gradient."""
    rows = b"".join(
        b"\0" + b"".join(bytes((40 + 160 * x // width, 90 + 120 * y // height, 214)) for x in range(width))
        for y in range(height)
    )

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + checksum

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)
