"""Secrets are planted everywhere, everything is made to fail, and what comes out holds none (F9, I6)."""

from __future__ import annotations

import base64
import json
import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest
import requests

from tests.fake_provider import VALID_KEY, FakeProvider, behaviours
from tests.fake_provider.script import Behaviour
from tests.faults.conftest import QUICK
from tests.faults.gateway import PATIENCE_SECONDS, Gateway, ShellError, Tenant
from tests.faults.wire import Wire, form, upload_head
from tests.stack import Stack

#: Options of an account: in its row, and on its page for who may change it.
OPTIONS = ("extra header", "extra query")


def canary() -> str:
    """Return a secret that occurs nowhere else."""
    return f"canary{secrets.token_hex(20)}"


@dataclass(frozen=True)
class Planted:
    """A gateway whose every secret is known, by where it was planted."""

    gateway: Gateway
    tenant: Tenant
    secrets: Mapping[str, str]


@pytest.fixture(scope="module")
def planted(running_fake: FakeProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Planted]:
    """Plant, use and break; what came out is looked at by the tests."""
    running_fake.reset()
    known = {
        "SECRET_KEY": canary(),
        "FIELD_ENCRYPTION_KEYS": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "API_KEY_PEPPERS": canary(),
        "METRICS_TOKEN": canary(),
        "provider key": f"sk-{canary()}",
        "S3 secret": canary(),
        "S3 session": canary(),
        "by reference": canary(),
        "cookie": canary(),
        "x-api-key": f"sk-{canary()}",
        "bearer in another scheme": f"fgw_{secrets.token_hex(23)}",
        "provider's words": f"sk-{canary()}",
        "extra header": canary(),
        "extra query": canary(),
    }
    settings = {name: known[name] for name in known if name.isupper()}
    environment = {**QUICK, **settings, "REFERRED": known["by reference"], "LOG_LEVEL": "DEBUG"}
    stack = Stack(tmp_path_factory.mktemp("secrets"), environment=environment)
    with Gateway(stack, running_fake, parts=("web", "worker")) as gateway:
        tenant = prepared(gateway, known)
        known["client key"] = tenant.key
        known["first key"] = stack.api_key
        known["admin password"] = stack.admin_password
        use_and_break(gateway, tenant, known)
        yield Planted(gateway, tenant, known)
    running_fake.reset()


def prepared(gateway: Gateway, known: Mapping[str, str]) -> Tenant:
    bucket = {"bucket": "some-bucket", "region": "us-east-1", "endpoint_url": "http://127.0.0.1:9"}
    keys = {"access_key_id": "AKIAIOSFODNN7EXAMPLE", "secret_access_key": known["S3 secret"]}
    reference = {"api_key": "env:REFERRED"}
    return gateway.tenant(
        gateway.account("good"),
        gateway.account("bad", credentials={"api_key": known["provider key"]}, is_default=False),
        gateway.account("referred", credentials=reference, is_default=False),
        {
            **{"name": "s3", "driver": "bedrock", "options": bucket},
            "credentials": {**keys, "session_token": known["S3 session"]},
        },
        gateway.account("anthropic", "anthropic", credentials=reference, is_default=False),
        {
            "name": "generic",
            "driver": "openai-compatible",
            "options": {
                "base_url": gateway.fake.url("openai"),
                "extra_headers": {"X-Team": known["extra header"]},
                "extra_query": {"tenant": known["extra query"]},
            },
            "credentials": {"api_key": VALID_KEY},
        },
    )


def telling(words: str, status: int = 400) -> Behaviour:
    """Return an error that tells `words` in every field that it has."""
    error = dict.fromkeys(("message", "code", "param", "type"), words)
    return behaviours.answer(status, json_body={"error": error}, headers=(("x-request-id", words[-120:]),))


def told(known: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield accounts with what a rude provider tells them: their own secrets, and what looks like one."""
    for account, names in (("bad", ("provider key", "provider's words")), ("generic", OPTIONS)):
        yield account, " and ".join(known[name] for name in names)
        yield from ((account, known[name]) for name in names)


def break_in_words(fake: FakeProvider, tenant: Tenant, account: str, words: str) -> None:
    """Let an account's uploads and retrieves fail with words that hold secrets."""
    fake.script({"method": "POST"}, telling(words))
    tenant.upload(b"fails", account=account)
    for status in (400, 404, 500):
        fake.script({"method": "GET"}, telling(words, status))
        tenant.request("GET", "/v1/files/file-nowhere", headers={"x-tfy-provider-name": account})


def use_and_break(gateway: Gateway, tenant: Tenant, known: Mapping[str, str]) -> None:
    """Do all that a gateway does, and let most of it fail."""
    fake = gateway.fake
    rude = {
        "Cookie": f"sessionid={known['cookie']}",
        "x-api-key": known["x-api-key"],
        "Proxy-Authorization": f"Bearer {known['bearer in another scheme']}",
    }
    kept = tenant.upload(b"kept", headers=rude).json()["id"]
    gone = tenant.upload(b"gone", f"{known['x-api-key']}.txt").json()["id"]
    for account in ("bad", "referred", "s3", "anthropic"):
        assert tenant.upload(b"refused", account=account).status_code >= 400
        tenant.request("GET", "/v1/files", headers={"x-tfy-provider-name": account})
        tenant.request("GET", "/v1/files/file-nowhere", headers={"x-tfy-provider-name": account})
    words = " and ".join(known[name] for name in ("provider key", "provider's words"))
    for answer in (
        behaviours.answer(400, json_body={"error": {"message": words}}),
        behaviours.answer(500, words),
        behaviours.answer(200, words),
        behaviours.redirect(f"http://127.0.0.1:9/?key={known['x-api-key']}"),
        behaviours.store_then_drop(),
        behaviours.html(),
    ):
        fake.script({"method": "POST"}, answer)
        tenant.upload(b"fails", account="bad")
        fake.script({"method": "GET"}, answer)
        tenant.content(kept)
    for account, each in told(known):
        break_in_words(fake, tenant, account, each)
    held = tenant.upload(b"held", account="generic").json()["id"]
    fake.script({"method": "GET"}, telling(" and ".join(known[name] for name in OPTIONS)))
    tenant.content(held)
    for wrong in (known["bearer in another scheme"], f"sk-{known['cookie']}"):
        requests.get(f"{tenant.url}/v1/files", headers={"Authorization": f"Bearer {wrong}"}, timeout=30)
        requests.get(f"{tenant.url}/v1/files?api_key={wrong}", timeout=30)
    fake.app.scripted.clear()

    fake.script({"method": "DELETE"}, behaviours.answer(500, words))
    tenant.delete(gone)
    gateway.shell("sync_account", name="good")
    fake.script({"method": "GET"}, telling(" and ".join(known[name] for name in OPTIONS)))
    with pytest.raises(ShellError, match="FileRejectedError"):  # the account's row keeps what went wrong
        gateway.shell("sync_account", name="generic")
    gateway.shell("spoil_credentials", account="referred")
    tenant.upload(b"undecryptable", account="referred")
    crash(gateway, tenant)


def crash(gateway: Gateway, tenant: Tenant) -> None:
    """Kill the web server in mid-upload and the worker in mid-delete; lock the database for a request."""
    file_id = tenant.upload(b"to be deleted", "d.txt").json()["id"]
    body = form(b"x" * 2_000_000)
    with Wire(gateway.stack.port) as wire:
        wire.send(upload_head(tenant.key, len(body)) + body[:50_000])
        gateway.wait_for_uploads(tenant, 1)
        gateway.stack.kill("web")
    gateway.stack.kill("worker")
    gateway.stack.restart_web()
    assert tenant.delete(file_id).status_code == 200  # its message stays in the queue
    gateway.recover()
    for path in ("/v1/nothing", "/v1/files?limit=x", "/admin/login/?next=//x", "/v1/files/%00"):
        tenant.request("GET", path)


def found(planted: Planted, text: str, *, allowed: tuple[str, ...] = ()) -> list[str]:
    """Return where the secrets that stand in a text were planted."""
    assert text, "nothing to look at"
    return [name for name, secret in planted.secrets.items() if secret in text and name not in allowed]


@pytest.mark.parametrize("name", ["web.log", "worker.log", "shell.log"])
def test_logs_hold_no_secret(planted: Planted, name: str) -> None:
    text = (planted.gateway.stack.directory / name).read_text(errors="replace") or "-"
    assert found(planted, text) == []
    if name == "web.log":
        assert text.count('"event": "request"') > 20
        assert "provider_error" in text


def test_task_payloads_hold_no_secret(planted: Planted) -> None:
    queue = planted.gateway.stack.data_dir / "broker" / "queue"
    messages = [json.loads(path.read_text()) for path in queue.iterdir()]
    assert messages
    plain = [base64.b64decode(message["body"]).decode() for message in messages if message.get("body")]
    assert found(planted, json.dumps(messages) + "".join(plain)) == []


def test_the_database_holds_no_secret_in_clear(planted: Planted) -> None:
    text = planted.gateway.shell("database_text")
    # The client named a file so, and has to find it again under this name.
    assert found(planted, text, allowed=("x-api-key", *OPTIONS)) == []
    assert planted.tenant.key[:12] in text
    for name in OPTIONS:
        assert text.count(planted.secrets[name]) == 1, "only where an operator has written it"


def test_metrics_hold_no_secret(planted: Planted) -> None:
    url = f"{planted.gateway.stack.url}/metrics"
    token = {"Authorization": f"Bearer {planted.secrets['METRICS_TOKEN']}"}
    assert found(planted, requests.get(url, headers=token, timeout=30).text) == []
    assert found(planted, requests.get(url, timeout=30).text) == []


def test_answers_hold_no_secret(planted: Planted) -> None:
    tenant = planted.tenant
    gateway = planted.gateway
    texts = []
    for path in ("/v1/files", "/v1/providers", "/v1/usage", "/v1/files/file-no", "/readyz", "/"):
        answer = tenant.request("GET", path)
        texts.append(answer.text + str(answer.headers))
    words = " and ".join(planted.secrets[name] for name in ("provider key", "provider's words"))
    for status in (400, 401, 403, 404, 409, 429, 500):
        gateway.fake.script(
            {"method": "POST"}, behaviours.answer(status, json_body={"error": {"message": words}})
        )
        answer = tenant.upload(b"x", account="bad")
        texts.append(answer.text + str(answer.headers))
        for account, each in told(planted.secrets):
            gateway.fake.script({"method": "POST"}, telling(each, status))
            answer = tenant.upload(b"x", account=account)
            texts.append(answer.text + str(answer.headers))
    assert found(planted, "\n".join(texts), allowed=("x-api-key",)) == []


def test_admin_pages_hold_no_secret(planted: Planted) -> None:
    url = f"{planted.gateway.stack.url}/admin"
    with requests.Session() as session:
        login = session.get(f"{url}/login/", timeout=30)
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', login.text)
        assert token
        entered = session.post(
            f"{url}/login/",
            data={
                "username": "admin",
                "password": planted.secrets["admin password"],
                "csrfmiddlewaretoken": token[1],
                "next": "/admin/",
            },
            headers={"Referer": f"{url}/login/"},
            timeout=PATIENCE_SECONDS,
        )
        assert entered.status_code == 200
        assert "csrfmiddlewaretoken" in entered.text
        pages = {f"{url}/"}
        pages |= {f"{url}{path}" for path in re.findall(r'href="/admin(/files_app/[a-z]+/)"', entered.text)}
        assert len(pages) > 4
        for page in sorted(pages):
            text = session.get(page, timeout=PATIENCE_SECONDS).text
            changes = re.findall(r'href="(/admin/files_app/[a-z]+/\d+/change/)', text)
            texts = {page: text}
            for change in list(dict.fromkeys(changes))[:8]:
                texts[change] = session.get(f"{planted.gateway.stack.url}{change}", timeout=30).text
            for address, shown in texts.items():
                own = OPTIONS if "provideraccount" in address else ()
                assert found(planted, shown, allowed=("x-api-key", *own)) == [], address


def test_only_the_first_start_keeps_its_secrets_on_disk(planted: Planted) -> None:
    """Where a secret may lie in clear is a short list: files that only the owner can read."""
    root = planted.gateway.stack.data_dir
    known = {root / "first-start.json", *(root / "secrets").glob("*")}
    for path in root.rglob("*"):
        if path.is_file() and path not in known:
            text = path.read_bytes().decode("latin-1") or "-"
            assert found(planted, text, allowed=("x-api-key", *OPTIONS)) == [], path
    for path in known:
        assert path.stat().st_mode & 0o077 == 0, path


def test_every_secret_was_really_used(planted: Planted) -> None:
    """A canary that never sang proves nothing."""
    seen = "\n".join(f"{each.headers.pairs} {each.query}" for each in planted.gateway.fake.requests)
    assert planted.secrets["provider key"] in seen
    assert planted.secrets["by reference"] in seen
    assert planted.secrets["extra header"] in seen
    assert planted.secrets["extra query"] in seen
