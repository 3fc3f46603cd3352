"""What a line of a batch file says in short, for people: whose request it is, and how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from providers.batches.results.answers import Chat, Embeddings, Failure, OpenAIBody, UnreadableRowError
from providers.batches.results.labels import custom_id_of
from providers.batches.results.lines import Line
from providers.batches.results.rows import read_row
from providers.batches.results.values import count, mapping, objects, text

MAX_ID: Final = 512
MAX_WORDS: Final = 300
_ANSWERS: Final = frozenset({"response", "error", "modelOutput", "predictions", "status", "result"})


@dataclass(frozen=True, slots=True)
class LineSummary:
    """One request or its answer. What a line does not say is empty or None.

    status: as in HTTP; None for a request. error: of an answer that is none, or why a line cannot be read.
    """

    custom_id: str = ""
    model: str = ""
    status: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    error: str = ""

    @property
    def is_failed(self) -> bool:
        """Whether it is the answer to a request that failed, or cannot be read."""
        return bool(self.error) or (self.status is not None and self.status >= 400)


@dataclass(frozen=True, slots=True)
class Said:
    """A piece of a conversation. role: `user`, `assistant`, ...; `error` for what went wrong."""

    role: str
    words: str


def summary_of(line: Line) -> LineSummary:
    """Return what a line says; whatever it holds, this does not fail."""
    try:
        row = line.parsed()
        return _of_answer(row) if is_answer(row) else _of_request(row)
    except UnreadableRowError as exc:
        return LineSummary(_clean(exc.custom_id or "", MAX_ID), error=_clean(f"The line {exc}.", MAX_WORDS))


def is_answer(row: Mapping[str, Any]) -> bool:
    """Whether a line is what a job wrote, and no request."""
    return not _ANSWERS.isdisjoint(row)


def _of_request(row: Mapping[str, Any]) -> LineSummary:
    model = text(_body(row).get("model")).rpartition("models/")[2]
    return LineSummary(_clean(custom_id_of(row) or "", MAX_ID), _clean(model, MAX_ID))


def _of_answer(row: Mapping[str, Any]) -> LineSummary:
    found = read_row(row)
    custom_id = _clean(found.custom_id or custom_id_of(row) or "", MAX_ID)
    status = mapping(row.get("response")).get("status_code")
    known = status if isinstance(status, int) and not isinstance(status, bool) else 200
    match found.answer:
        case Failure() as failure:
            words = failure.message or failure.code
            return LineSummary(
                custom_id, status=failure.status_code, error=_clean(words, MAX_WORDS) or "failed"
            )
        case Chat() as chat:
            usage = chat.usage
            return LineSummary(custom_id, _clean(chat.model, MAX_ID), known, usage.prompt, usage.completion)
        case Embeddings() as embeddings:
            model = _clean(embeddings.model, MAX_ID)
            return LineSummary(custom_id, model, known, embeddings.prompt_tokens)
        case OpenAIBody() as answer:
            return _of_body(custom_id, answer.body, known)


def _of_body(custom_id: str, body: Mapping[str, Any], status: int) -> LineSummary:
    usage = mapping(body.get("usage"))
    asked = _tokens(usage, "prompt_tokens", "input_tokens")
    answered = _tokens(usage, "completion_tokens", "output_tokens")
    return LineSummary(custom_id, _clean(text(body.get("model")), MAX_ID), status, asked, answered)


def _tokens(usage: Mapping[str, Any], *names: str) -> int | None:
    return next((count(usage[name]) for name in names if name in usage), None)


def conversation(row: Mapping[str, Any]) -> list[Said]:
    """Return what is said in a line, as far as its form is known: the messages, or the answer."""
    if not is_answer(row):
        return _asked(_body(row))
    try:
        answer = read_row(row).answer
    except UnreadableRowError:
        return []
    match answer:
        case Failure() as failure:
            return [Said("error", f"{failure.code}: {failure.message}".strip(": "))]
        case Chat() as chat:
            return [Said("assistant", each.text or each.refusal or "") for each in chat.choices]
        case Embeddings() as embeddings:
            return [Said("embedding", f"{len(vector):,} numbers") for vector in embeddings.vectors]
        case OpenAIBody() as known:
            return _answered(known.body)


def _body(row: Mapping[str, Any]) -> Mapping[str, Any]:
    return next((mapping(row[name]) for name in ("body", "request", "modelInput") if name in row), {})


def _asked(body: Mapping[str, Any]) -> list[Said]:
    system = body.get("system") or body.get("systemInstruction") or body.get("instructions")
    said = [Said("system", _words(system))] if system else []
    said += [
        Said(text(message.get("role")) or "user", _words(message.get("content") or message.get("parts")))
        for message in objects(body.get("messages") or body.get("contents"))
    ]
    single = [body[name] for name in ("input", "inputText", "prompt", "texts", "content") if name in body]
    return said + [Said("input", _words(each)) for each in single]


def _answered(body: Mapping[str, Any]) -> list[Said]:
    choices = [
        Said("assistant", _words(mapping(each.get("message")).get("content")))
        for each in objects(body.get("choices"))
    ]
    vectors = [
        each["embedding"] for each in objects(body.get("data")) if isinstance(each.get("embedding"), list)
    ]
    return choices + [Said("embedding", f"{len(vector):,} numbers") for vector in vectors]


def _words(content: Any) -> str:
    """Return the text in a message's content; what is none stands in brackets."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "\n".join(filter(None, map(_words, content)))
    part = mapping(content)
    if isinstance(part.get("text"), str):
        return str(part["text"])
    if "parts" in part or "content" in part:
        return _words(part.get("parts") or part.get("content"))
    kind = text(part.get("type")) or next(iter(part), "")
    return f"[{kind}]" if kind else ""


def _clean(words: str, longest: int) -> str:
    """Return words that a page can show: no half of a character, and not too many of them."""
    shown = words[: longest + 1].encode("utf-8", "replace").decode()
    return shown if len(shown) <= longest else f"{shown[: longest - 1]}…"
