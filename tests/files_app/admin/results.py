"""Results of batches on disk, as if jobs had written them and a worker had translated them."""

from __future__ import annotations

from typing import Any

from files_app.models import File, ResultPart
from files_app.services.accounts.drivers import driver_for
from providers.local import LocalDriver
from providers.results import translation_id


def as_result(file: File, part: ResultPart, asked: File, content: bytes) -> File:
    """Make a stored file the output or the errors of the batch that `asked` is the input of."""
    batch = {"input_file_id": asked.file_id, "part": part}
    rows = File.objects.filter(pk=file.pk)
    rows.update(purpose="batch_output", result_part=part, batch=batch)
    driver = driver_for(file.account)
    assert isinstance(driver, LocalDriver)
    remote_id = file.copies.get().remote_id
    kept = driver.root / translation_id(remote_id, "output" if part == ResultPart.OUTPUT else "errors")
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_bytes(content)
    return rows.get()


def answer(custom_id: str, text: str = "fine", tokens: int = 1_234) -> dict[str, Any]:
    """Return OpenAI's line of a request that was answered."""
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
    usage = {"prompt_tokens": tokens, "completion_tokens": 5, "total_tokens": tokens + 5}
    body = {"object": "chat.completion", "model": "gpt-4o-2024", "choices": [choice], "usage": usage}
    response = {"status_code": 200, "request_id": "r", "body": body}
    return {"id": "b", "custom_id": custom_id, "response": response, "error": None}


def failure(custom_id: str, message: str = "too many tokens") -> dict[str, Any]:
    """Return OpenAI's line of a request that was not."""
    response = {"status_code": 400, "request_id": "r", "body": {}}
    error = {"code": "invalid_request", "message": message}
    return {"id": "b", "custom_id": custom_id, "response": response, "error": error}
