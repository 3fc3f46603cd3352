"""What batch files cost: checked on their way to an API provider, and rendered for Bedrock's jobs."""

from __future__ import annotations

import http.client
import json
import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.measure import Cost, Meter
from tests.providers.stores import ACCESS_KEY, BUCKETS, SECRET_KEY, Weed
from tests.stack import Stack

#: As many lines as a file may have by default, together 200 MB.
LINES, LINE_BYTES = 50_000, 4_000
MODEL = "amazon.nova-lite-v1:0"
#: Of the file that is only checked, together 512 MB.
CHECKED_LINES = 128_000
ENVIRONMENT = {"BATCH_MAX_FILE_BYTES": str(2**30), "BATCH_MAX_LINES": str(CHECKED_LINES)}
_BOUNDARY = "benchmark-boundary"
_CONFIG = """
organizations:
  - name: default
    provider_accounts:
      - name: bucket
        driver: bedrock
        options: {{bucket: "{bucket}", region: "us-east-1", endpoint_url: "{endpoint}"}}
        credentials: {{access_key_id: "{key}", secret_access_key: "{secret}"}}
"""

Add = Callable[[str, str, str], None]


@contextmanager
def bucket(stack: Stack, directory: Path) -> Iterator[str]:
    """Run an S3 server, with an account of the gateway's in it, and yield its address."""
    server = Weed(directory / "weed")
    server.prepare()
    try:
        server.start()
        server.client().create_bucket(Bucket=BUCKETS[0])  # type: ignore[no-untyped-call]  # made at run time
        config = directory / "bucket.yaml"
        place = {"bucket": BUCKETS[0], "endpoint": server.endpoint_url}
        config.write_text(_CONFIG.format(**place, key=ACCESS_KEY, secret=SECRET_KEY))
        stack.manage("apply", str(config))
        yield server.endpoint_url
    finally:
        server.stop()


def measure_checks(stack: Stack, *, rounds: int, add: Add) -> None:
    """Upload a batch file some times, each line of which is parsed and its id compared with all others."""
    lines = b"".join(map(_line, range(CHECKED_LINES)))
    size, pid = len(lines) / 1e9, stack.processes["web"].pid
    upload(stack, lines[: 2_000 * LINE_BYTES], "batch", account="upstream")
    costs: list[Cost] = []
    for _ in range(rounds):
        with Meter(pid) as meter:
            upload(stack, lines, "batch", account="upstream")
        costs.append(meter.cost)
    name = f"{size * 1000:.0f} MB of batch lines"
    add(f"{name}: CPU", f"{statistics.median(c.cpu_seconds for c in costs) / size:.2f} s/GB", "1.6")
    seconds = statistics.median(cost.wall_seconds for cost in costs)
    add(f"{name}: throughput", f"{size * 1000 / seconds:.0f} MB/s", "")


def measure_uploads(stack: Stack, *, rounds: int, add: Add) -> None:
    """Upload a batch file some times, and the same bytes as no batch file beside it."""
    lines = b"".join(map(_line, range(LINES)))
    size, pid = len(lines) / 1e9, stack.processes["web"].pid
    upload(stack, lines[: 2_000 * LINE_BYTES], "batch")  # a server whose threads have worked before
    for purpose, most in (("batch", "48 MiB"), ("evals", "")):
        costs: list[Cost] = []
        for _ in range(rounds):
            with Meter(pid) as meter:
                upload(stack, lines, purpose)
            costs.append(meter.cost)
        what = "rendered" if purpose == "batch" else "the same as it is"
        name = f"{size * 1000:.0f} MB of batch lines to S3, {what}"
        add(f"{name}: CPU", f"{statistics.median(c.cpu_seconds for c in costs) / size:.2f} s/GB", "")
        above = max(cost.rss_above_idle_mib for cost in costs)
        add(f"{name}: memory above idle", f"{above:.1f} MiB", most)
        seconds = statistics.median(cost.wall_seconds for cost in costs)
        add(f"{name}: throughput", f"{size * 1000 / seconds:.0f} MB/s", "")


def upload(stack: Stack, lines: bytes, purpose: str, *, account: str = "bucket") -> None:
    """Upload `lines` to the account. Raises RuntimeError for an answer that is no success."""
    start = (
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\n{purpose}\r\n'
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="lines.jsonl"\r\n\r\n'
    ).encode()
    end = f"\r\n--{_BOUNDARY}--\r\n".encode()
    connection = http.client.HTTPConnection("127.0.0.1", stack.port, timeout=600)
    headers = {
        "Authorization": f"Bearer {stack.api_key}",
        "x-tfy-provider-name": account,
        "Content-Type": f"multipart/form-data; boundary={_BOUNDARY}",
        "Content-Length": str(len(start) + len(lines) + len(end)),
    }
    connection.request("POST", "/v1/files", body=iter((start, lines, end)), headers=headers)
    answer = connection.getresponse()
    body = answer.read()
    if answer.status != 200:
        raise RuntimeError(body.decode())


def _line(number: int) -> bytes:
    """Return a line of LINE_BYTES, most of which are text with some escapes."""
    asked = {"model": MODEL, "max_tokens": 500, "temperature": 0.2}
    text = f'Summarize request {number}.\n"Grüße" ' + "The quick brown fox jumps over the lazy dog. " * 90
    line = {"custom_id": f"request-{number}", "method": "POST", "url": "/v1/chat/completions"}

    def with_content(content: str) -> bytes:
        return _encoded({**line, "body": {**asked, "messages": [{"role": "user", "content": content}]}})

    room = LINE_BYTES - len(with_content(text))
    return with_content(text + "x" * room if room >= 0 else text[:room])


def _encoded(line: object) -> bytes:
    return json.dumps(line, ensure_ascii=False).encode() + b"\n"
