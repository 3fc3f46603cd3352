"""Batch jobs as the providers run them: they read what a file object names, where it is, and answer beside.

Made from the facts of `batch_jobs` in the providers' guides: Bedrock writes a folder for each job, whose
results have the input's name, and a summary; Vertex AI a folder named by model and time.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from uuid import uuid4

from files_app.models import ProviderAccount
from tests.files_app.batches import store_driver
from tests.providers import jobs
from tests.providers.stores import read

Line = dict[str, Any]
Answer = Callable[[Line], Line | None]


def converse(line: Line) -> Line:
    """Answer a Converse line with what it asks, as a batch does: with a null for each unused member."""
    asked = line["modelInput"]["messages"][0]["content"][0]["text"]
    content = [{"text": f"Answer to {asked}", "image": None, "toolUse": None}]
    usage = {"inputTokens": 7, "outputTokens": 5, "totalTokens": 12, "cacheReadInputTokens": None}
    output = {"message": {"role": "assistant", "content": content}}
    return {**line, "modelOutput": {"output": output, "stopReason": "end_turn", "usage": usage}}


def gemini(line: Line) -> Line:
    """Answer a line of Gemini."""
    asked = line["request"]["contents"][0]["parts"][0]["text"]
    candidate = {
        "content": {"role": "model", "parts": [{"text": f"Answer to {asked}"}]},
        "finishReason": "STOP",
    }
    usage = {"promptTokenCount": 7, "candidatesTokenCount": 5, "totalTokenCount": 12}
    response = {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "gemini-2.5-flash"}
    return {"status": "", "processed_time": "2026-11-23T02:20:00.000+00:00", **line, "response": response}


def failed(line: Line) -> Line:
    """Refuse a line, in the words of the provider that it is for."""
    if "modelInput" in line:
        return {**line, "error": {"errorCode": 400, "errorMessage": "too long"}}
    status = json.dumps({"code": 400, "message": "too long", "status": "INVALID_ARGUMENT"})
    return {**line, "status": status, "response": {}}


def answered(line: Line) -> Line:
    """Answer a line of whichever provider."""
    return converse(line) if "modelInput" in line else gemini(line)


def run_job(
    account: ProviderAccount, file: Mapping[str, Any], answer: Answer = answered, *, folder: str | None = None
) -> str:
    """Run the job of a batch file: read its lines where the file object says, and answer, in another order.

    Returns the folder that was written, below the bucket.
    """
    uri = file["batch"]["uri"]
    content = read(store_driver(account), uri.partition("://")[2])
    rows = [row for line in reversed(content.splitlines()) if (row := answer(json.loads(line))) is not None]
    return write_result(account, file, rows, folder=folder)


def write_result(
    account: ProviderAccount, file: Mapping[str, Any], rows: Iterable[Line], *, folder: str | None = None
) -> str:
    """Write the rows of a job as its provider does, and return the folder."""
    rows = list(rows)
    content = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
    root = folder or file["batch"]["output_uri"].partition("://")[2].partition("/")[2]
    if account.driver == "vertex":
        folder = f"{root}prediction-model-2026-11-23T02:13:20.{uuid4().hex[:6]}Z"
        put(account, f"{folder}/predictions.jsonl", content)
        return folder
    folder = f"{root}{uuid4().hex[:12]}"
    put(account, f"{folder}/{file['batch']['uri'].rpartition('/')[2]}.out", content)
    bad = sum("error" in row for row in rows)
    summary = {
        "totalRecordCount": len(rows),
        "processedRecordCount": len(rows),
        "successRecordCount": len(rows) - bad,
        "errorRecordCount": bad,
        "inputTokenCount": 700,
        "outputTokenCount": 500,
    }
    put(account, f"{folder}/manifest.json.out", json.dumps(summary).encode())
    return folder


def put(account: ProviderAccount, key: str, content: bytes) -> str:
    """Write an object behind the gateway's back and return its remote id."""
    write = jobs.put_gcs if account.driver == "vertex" else jobs.put_s3
    return write(str(account.options["endpoint_url"]), key, content)
