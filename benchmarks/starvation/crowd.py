"""A crowd of clients of one organization. Run as a process, so that it costs the measured one no time.

`python -m benchmarks.starvation.crowd PORT` reads a JSON object from standard input: `kind` (`hanging` or
`slow`), `clients`, `keys`, `account`, `file_id`, `large_file_id`. It runs until it is killed.
"""

from __future__ import annotations

import http.client
import itertools
import json
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

_BOUNDARY = "starvation"
FORM = {"Content-Type": f"multipart/form-data; boundary={_BOUNDARY}"}
#: What a client waits that was told no time, and the longest that it takes to be told.
_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 1.0, 10.0
_DRIP_SECONDS = 0.5


def form(size: int) -> bytes:
    """Return the body of an upload of so many bytes, whose content OpenAI gives back."""
    return (
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nevals\r\n'
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="a.bin"\r\n\r\n'
        f"{'x' * size}\r\n--{_BOUNDARY}--\r\n"
    ).encode()


_BODY = form(65_536)
Ask = Callable[[http.client.HTTPConnection, dict[str, str]], None]


def hanging(order: dict[str, Any]) -> list[Ask]:
    """Return what is asked of a provider that never answers: of ten, four uploads and two of each other."""
    ids = itertools.count()

    def upload(connection: http.client.HTTPConnection, headers: dict[str, str]) -> None:
        connection.request("POST", "/v1/files", _BODY, headers | FORM)

    def content(connection: http.client.HTTPConnection, headers: dict[str, str]) -> None:
        connection.request("GET", f"/v1/files/{order['file_id']}/content", headers=headers)

    def unknown(connection: http.client.HTTPConnection, headers: dict[str, str]) -> None:
        connection.request("GET", f"/v1/files/file-unknown{next(ids):08d}", headers=headers)

    def listing(connection: http.client.HTTPConnection, headers: dict[str, str]) -> None:
        named = headers | {"x-tfy-provider-name": order["account"]}
        connection.request("GET", "/v1/files?limit=10", headers=named)

    return [upload, content, unknown, listing, upload, upload, content, unknown, listing, upload]


def ask_for_ever(port: int, key: str, ask: Ask) -> None:
    """Ask, wait as long as the answer says, and ask again."""
    headers = {"Authorization": f"Bearer {key}"}
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=330)
        pause = _PAUSE_SECONDS
        try:
            ask(connection, headers)
            answer = connection.getresponse()
            answer.read()
            pause = float(answer.headers.get("Retry-After") or pause)
        except (OSError, http.client.HTTPException):
            pass
        finally:
            connection.close()
        time.sleep(min(pause, _LONGEST_PAUSE_SECONDS))


def drip(port: int, key: str, file_id: str) -> None:
    """Send an upload, or take a download, by a byte every half second; when it ends, begin another."""
    while True:
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            client.connect(("127.0.0.1", port))
            head = f"Host: 127.0.0.1\r\nAuthorization: Bearer {key}\r\n"
            if file_id:
                client.sendall(f"GET /v1/files/{file_id}/content HTTP/1.1\r\n{head}\r\n".encode())
            else:
                form = f"Content-Type: {FORM['Content-Type']}\r\nContent-Length: {len(_BODY)}\r\n"
                client.sendall(f"POST /v1/files HTTP/1.1\r\n{head}{form}\r\n".encode() + _BODY[:500])
            _drip_until_the_end(client, sends=not file_id)
        time.sleep(_PAUSE_SECONDS)


def _drip_until_the_end(client: socket.socket, *, sends: bool) -> None:
    client.settimeout(_DRIP_SECONDS)
    try:
        for _ in range(len(_BODY) - 500):
            if sends:
                client.sendall(b"x")
            began = time.monotonic()
            try:
                taken = client.recv(65_536 if sends else 1)
            except TimeoutError:
                continue
            if not taken or sends:  # an answer to an upload is a refusal
                return
            time.sleep(max(0.0, _DRIP_SECONDS - (time.monotonic() - began)))
    except OSError:
        return


def main() -> None:
    """Start one thread for each client."""
    port, order = int(sys.argv[1]), json.load(sys.stdin)
    keys = itertools.cycle(order["keys"])
    asks = itertools.cycle(hanging(order))
    for number in range(order["clients"]):
        if order["kind"] == "hanging":
            run, arguments = ask_for_ever, (port, next(keys), next(asks))
        else:
            run, arguments = drip, (port, next(keys), order["large_file_id"] if number % 4 > 1 else "")  # type: ignore[assignment]
        threading.Thread(target=run, args=arguments, daemon=True).start()
    threading.Event().wait()


if __name__ == "__main__":
    main()
