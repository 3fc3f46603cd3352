"""Sends the same upload again and again, and prints how often it ended how: `{"401": 200}`.

python clients.py CLIENT BASE_URL KEY PURPOSE BYTES TRIES
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Awaitable, Callable

import openai


async def openai_async(base_url: str, key: str, purpose: str, content: bytes) -> int:
    async with openai.AsyncOpenAI(base_url=base_url, api_key=key, max_retries=0) as client:
        try:
            await client.files.create(file=("a.bin", content), purpose=purpose)  # type: ignore[arg-type]
        except openai.APIStatusError as exc:
            return exc.status_code
    return 200


async def openai_sync(base_url: str, key: str, purpose: str, content: bytes) -> int:
    with openai.OpenAI(base_url=base_url, api_key=key, max_retries=0) as client:
        try:
            client.files.create(file=("a.bin", content), purpose=purpose)  # type: ignore[arg-type]
        except openai.APIStatusError as exc:
            return exc.status_code
    return 200


async def aiohttp(base_url: str, key: str, purpose: str, content: bytes) -> int:
    import aiohttp  # only the matrix has it

    form = aiohttp.FormData()
    form.add_field("purpose", purpose)
    form.add_field("file", content, filename="a.bin")
    headers = {"Authorization": f"Bearer {key}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(f"{base_url}/files", data=form) as answer,
    ):
        await answer.json()
        return answer.status


CLIENTS: dict[str, Callable[[str, str, str, bytes], Awaitable[int]]] = {
    "openai-async": openai_async,
    "openai-sync": openai_sync,
    "aiohttp": aiohttp,
}


async def main(name: str, base_url: str, key: str, purpose: str, size: str, tries: str) -> None:
    outcomes: Counter[str] = Counter()
    content = bytes(int(size))
    for _ in range(int(tries)):
        try:
            outcome = str(await CLIENTS[name](base_url, key, purpose, content))
        except Exception as exc:  # whatever a client makes of a broken connection is the finding
            outcome = type(exc).__name__
        outcomes[outcome] += 1
    print(json.dumps(outcomes))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
