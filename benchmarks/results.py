"""What it costs to translate a batch result of Bedrock's, from S3 to S3, in a process of its own.

python -m benchmarks.results ENDPOINT KEY translates the result under KEY and prints what that cost, as JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing

import psutil
from django.conf import settings

from benchmarks.batches import Add
from providers.base import AccountConfig, Environment
from providers.batches.results.openai_lines import Origin
from providers.batches.results.translation import ResultLine, ResultTranslator
from providers.registry import build_driver
from providers.results import ResultPart
from providers.transports.http import TransportLimits
from tests.providers.jobs import put_s3
from tests.providers.stores import ACCESS_KEY, BUCKETS, SECRET_KEY

LINES = 50_000
_KEY = "files/org-1/results/job/benchmark.jsonl.out"
_CHUNK_BYTES = 262_144


def measure_translation(endpoint: str, *, add: Add) -> None:
    """Write a result of 200 MB and translate it."""
    content = b"".join(map(_row, range(LINES)))
    put_s3(endpoint, _KEY, content)
    command = [sys.executable, "-m", "benchmarks.results", endpoint, _KEY]
    cost = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    size = len(content) / 1e9
    name = f"{size * 1000:.0f} MB of a batch result, translated"
    add(f"{name}: CPU", f"{cost['cpu_seconds'] / size:.2f} s/GB", "")
    add(f"{name}: memory above idle", f"{cost['mib_above_idle']:.1f} MiB", "")
    add(f"{name}: throughput", f"{size * 1000 / cost['seconds']:.0f} MB/s", "")


def _row(number: int) -> bytes:
    """Return a row of 4,000 bytes: half of them repeat the request, half are the answer."""
    asked = {"messages": [{"role": "user", "content": [{"text": "The quick brown fox. " * 90}]}]}
    content = [{"text": f'Answer {number}: "Grüße"\n' + "jumps over the lazy dog. " * 68, "image": None}]
    output = {
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": "end_turn",
        "usage": {"inputTokens": 500, "outputTokens": 480, "totalTokens": 980, "cacheReadInputTokens": None},
    }
    row = {"recordId": f"request-{number}", "modelInput": asked, "modelOutput": output}
    return json.dumps(row, ensure_ascii=False).encode() + b"\n"


def _translate(endpoint: str, key: str) -> dict[str, float]:
    place = {"bucket": BUCKETS[0], "region": "us-east-1", "endpoint_url": endpoint, "prefix": "files"}
    keys = {"access_key_id": ACCESS_KEY, "secret_access_key": SECRET_KEY}
    limits = TransportLimits(allow_private=True)
    driver = build_driver("bedrock", AccountConfig("bench", place, keys, Environment(limits=limits)))
    results, source, process = driver.results, f"{BUCKETS[0]}/{key}", psutil.Process()
    if results is None:
        raise AssertionError("Bedrock has results")
    results.parts(source)  # a client that has worked before
    idle, peak = process.memory_info().rss, 0
    used, began = sum(process.cpu_times()[:2]), time.monotonic()

    def lines() -> Iterator[tuple[ResultPart, bytes]]:
        nonlocal peak
        translator, held = ResultTranslator(Origin(source, 0, "m")), bytearray()

        def taken(found: Iterator[ResultLine]) -> None:
            held.extend(b"".join(line.data for line in found))

        with closing(driver.download_file(source)) as download:
            for chunk in download.chunks:
                taken(translator.feed(chunk))
                if len(held) >= _CHUNK_BYTES:
                    yield "output", bytes(held)
                    held.clear()
                peak = max(peak, process.memory_info().rss)
        taken(translator.end_part())
        yield "output", bytes(held)

    results.translate(source, lines())
    return {
        "seconds": time.monotonic() - began,
        "cpu_seconds": sum(process.cpu_times()[:2]) - used,
        "mib_above_idle": (peak - idle) / 2**20,
    }


if __name__ == "__main__":
    settings.configure()  # django-storages looks there for its defaults
    print(json.dumps(_translate(*sys.argv[1:])))
