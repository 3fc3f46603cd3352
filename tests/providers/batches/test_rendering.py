"""What holds for a file, whatever its lines become."""

import json
import tracemalloc
from typing import Any

import pytest

from providers.batches.json_lines import LineLimits
from providers.batches.rendering import BatchOptions, BatchRenderer
from tests.providers.batches.lines import (
    CHAT,
    CLAUDE,
    CONVERSE,
    EMBEDDINGS,
    GEMINI,
    GPT,
    TITAN,
    chat,
    jsonl,
    record,
    render,
    user,
)

ARN = "arn:aws:bedrock:us-west-2"


def lines(count: int, model: str = CONVERSE) -> bytes:
    return jsonl(record(chat(model, user(f"Question {at} “ü”")), f"r-{at}") for at in range(count))


@pytest.mark.parametrize("chunk_bytes", [1, 7, 64, 1 << 20])
def test_lines_are_rendered_in_order_however_the_file_arrives(chunk_bytes: int) -> None:
    renderer, rendered = render("bedrock", lines(5), chunk_bytes=chunk_bytes)
    assert renderer.problems == [] and renderer.is_native is False
    made = [json.loads(line) for line in rendered.splitlines()]
    assert [line["recordId"] for line in made] == [f"r-{at}" for at in range(5)]
    assert made[3]["modelInput"]["messages"] == [{"role": "user", "content": [{"text": "Question 3 “ü”"}]}]


def test_the_end_of_a_file_may_lack_its_line_end_or_have_more() -> None:
    data = lines(2)
    _, usual = render("bedrock", data)
    for each in (data[:-1], data + b"\n \r\n", data.replace(b"\n", b"\r\n")):
        renderer, rendered = render("bedrock", each)
        assert renderer.problems == [] and rendered == usual


def test_the_summary_says_what_was_rendered() -> None:
    bodies = [chat(CONVERSE, user=f"u{at}", store=True, metadata={"a": "b"}) for at in range(120)]
    data = jsonl(record(body, f"r-{at}") for at, body in enumerate(bodies))
    renderer, rendered = render("bedrock", data)
    summary = renderer.summary()
    assert (summary.format, summary.records, summary.bytes) == ("bedrock-converse", 120, len(rendered))
    assert (summary.model, summary.endpoint) == (CONVERSE, CHAT)
    assert summary.ignored == ("metadata", "store", "user")
    assert summary.warnings == ()
    assert [*summary.sample] == rendered.split(b"\n")[:3]


def test_fewer_records_than_a_job_needs_are_taken_with_a_warning() -> None:
    renderer, _ = render("bedrock", lines(2))
    assert "2 records and a job needs 100" in renderer.summary().warnings[0]
    renderer, _ = render("bedrock", lines(2), BatchOptions(min_records=2))
    assert renderer.summary().warnings == ()


def test_more_records_than_a_job_takes_are_refused_at_once() -> None:
    renderer, _ = render("bedrock", lines(9), BatchOptions(max_records=3))
    assert renderer.problems == ["line 4: more than 3 lines, which is what a job takes: split the file"]
    assert renderer.is_full


def test_more_bytes_than_a_job_takes_are_refused_at_once() -> None:
    renderer, _ = render("bedrock", lines(9), BatchOptions(max_rendition_bytes=300))
    assert len(renderer.problems) == 1 and "more than 300 bytes" in renderer.problems[0]
    assert renderer.is_full


def test_the_gateways_own_limit_of_lines_holds_too() -> None:
    renderer, _ = render("bedrock", lines(9), limits=LineLimits(max_lines=2))
    assert renderer.problems[0].startswith("line 3: more than 2 lines")


def test_a_line_that_is_too_long_is_refused_and_not_held() -> None:
    limits = LineLimits(max_line_bytes=100_000)
    renderer = BatchRenderer("bedrock", BatchOptions(), limits)
    tracemalloc.start()
    try:
        for _ in range(200):
            renderer.feed(b"x" * 50_000)
        held = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert renderer.problems == ["line 1: longer than 100,000 bytes"]
    assert held < 1_000_000
    assert renderer.feed(b"\n") == b"" and not renderer.is_full


@pytest.mark.parametrize(("driver", "member"), [("bedrock", "modelInput"), ("vertex", "request")])
def test_lines_in_the_providers_form_are_left_alone(driver: Any, member: str) -> None:
    renderer, rendered = render(driver, jsonl([{member: {}}, {member: {}}]), chunk_bytes=3)
    assert renderer.is_native is True
    assert rendered == b"" and renderer.problems == []


def test_the_first_line_decides_and_others_are_refused() -> None:
    data = lines(1) + jsonl([{"recordId": "a", "modelInput": {}}]) + lines(1).replace(b"r-0", b"r-9")
    renderer, _ = render("bedrock", data)
    assert len(renderer.problems) == 1
    assert renderer.problems[0].startswith("line 2: is in the provider's form")


def test_problems_name_their_lines_and_end_at_twenty() -> None:
    good, bad = lines(1), jsonl([record(chat(CONVERSE, n=2), "bad")])
    renderer, _ = render("bedrock", good + b"\n" + bad + b"{\n" + bad.replace(b"bad", b"worse"))
    assert [problem.split(":")[0] for problem in renderer.problems] == [
        "line 2",
        "line 3",
        "line 4",
        "line 5",
    ]
    renderer, _ = render("bedrock", b"[]\n" * 50)
    assert len(renderer.problems) == 20 and renderer.is_full


def test_a_file_that_is_no_text_is_called_what_it_is() -> None:
    renderer, _ = render("vertex", b"\x1f\x8b" + b"\0" * 100 + b"\n" + b"\0" * 30)
    assert renderer.problems == ["line 1: the file is compressed with gzip: send it unpacked"]
    renderer, _ = render("vertex", b"")
    assert renderer.problems == ["line 1: the file has no records"]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"custom_id": ""}, "'custom_id' must have 1 to 512 characters"),
        ({"custom_id": "x" * 513}, "'custom_id' must have 1 to 512 characters"),
        ({"custom_id": 7}, "'custom_id' must be a string"),
        ({"method": "GET"}, "'method' must be POST"),
        ({"url": "/v1/responses"}, "'url' must be /v1/chat/completions or /v1/embeddings here"),
        ({"url": "/v1/completions"}, "'url' must be /v1/chat/completions or /v1/embeddings here"),
        ({"url": 1}, "'url' must be a string"),
        ({"body": []}, "'body' must be an object"),
        ({"priority": 1}, "'priority' is not known here"),
        ({"body": chat("")}, "'body.model' is missing"),
        ({"body": {"messages": [user("x")]}}, "name the model in x-tfy-provider-model"),
    ],
)
def test_the_members_of_a_line_are_checked(change: dict[str, Any], problem: str) -> None:
    renderer, _ = render("bedrock", jsonl([record(chat(CONVERSE)) | change]))
    assert len(renderer.problems) == 1 and problem in renderer.problems[0]


def test_an_id_that_was_used_before_is_refused() -> None:
    renderer, _ = render("vertex", jsonl([record(chat(GEMINI), "é")] * 2))
    assert renderer.problems == ["line 2: 'custom_id' was used before: \"\\u00e9\""]


def test_problems_quote_little_of_what_was_sent() -> None:
    long = "\n" + "x" * 1_000_000
    image = {"type": "image_url", "image_url": {"url": f"data:image/{'x' * 900_000};base64,AAAA"}}
    bad = [
        record(chat(CONVERSE, **{long: 1}), "a"),
        record(chat(CONVERSE, user([{"type": "text", "text": "x", long: 1}])), "b"),
        record(chat(CONVERSE, user([image])), "c"),
        record(chat(CONVERSE), "d") | {long: 1},
        record(chat(CONVERSE), "e"),
        record(chat(CONVERSE), "f", url=long),
        record(chat("x" * 1_000_000), "g"),
        record(chat(CONVERSE), long),
    ]
    renderer, _ = render("bedrock", jsonl(bad))
    assert len(renderer.problems) == 7
    assert all(len(problem) < 300 and problem.isprintable() for problem in renderer.problems)


# -- the model ---------------------------------------------------------------------------------------------


def test_a_file_is_for_one_model_and_one_endpoint() -> None:
    first = record(chat(CONVERSE), "a")
    renderer, _ = render("bedrock", jsonl([first, record(chat("amazon.nova-lite-v1:0"), "b")]))
    assert "a job runs one model" in renderer.problems[0]
    renderer, _ = render(
        "bedrock", jsonl([first, record({"model": CONVERSE, "input": "x"}, "b", EMBEDDINGS)])
    )
    assert renderer.problems == [
        f"line 2: is for {EMBEDDINGS} and the lines before for {CHAT}: write a file for each"
    ]


def test_an_alias_never_reaches_a_job() -> None:
    options = BatchOptions(models={"fast": CONVERSE, "other": CONVERSE})
    data = jsonl([record(chat("fast"), "a"), record(chat("other"), "b")])
    renderer, rendered = render("bedrock", data, options)
    assert renderer.problems == [] and renderer.summary().model == CONVERSE
    assert b"fast" not in rendered and b"other" not in rendered


def test_the_model_of_a_request_fills_in_and_replaces() -> None:
    nameless = {"messages": [user("x")], "max_tokens": 5}
    data = jsonl([record(nameless, "a"), record(chat("gpt-4o", max_tokens=5), "b")])
    for name in (CLAUDE, GEMINI):
        renderer, _ = render("vertex", data, BatchOptions(model=name))
        assert renderer.problems == [] and renderer.summary().model == name


@pytest.mark.parametrize(
    ("driver", "model"),
    [
        ("bedrock", "gpt-4.1"),
        ("bedrock", "claude-3.5-sonnet"),
        ("bedrock", "cohere.rerank-v3-5:0"),
        ("bedrock", "stability.sd3-large-v1:0"),
        ("vertex", "gpt-4o"),
        ("vertex", "llama-4-maverick"),
    ],
)
def test_a_model_that_no_job_runs_is_refused_with_what_would_work(driver: Any, model: str) -> None:
    renderer, _ = render(driver, jsonl([record(chat(model))]))
    assert f"no batch form is known for the model {model}" in renderer.problems[0]
    assert "x-tfy-provider-model" in renderer.problems[0] and "'models'" in renderer.problems[0]


@pytest.mark.parametrize(
    ("driver", "model", "endpoint", "form"),
    [
        ("bedrock", CONVERSE, CHAT, "bedrock-converse"),
        ("bedrock", "eu.amazon.nova-pro-v1:0", CHAT, "bedrock-converse"),
        ("bedrock", "meta.llama3-1-8b-instruct-v1:0", CHAT, "bedrock-converse"),
        (
            "bedrock",
            "arn:aws:bedrock:eu-west-1:123456789012:application-inference-profile/ab12",
            CHAT,
            "bedrock-converse",
        ),
        (
            "bedrock",
            "arn:aws:bedrock:us-west-2::foundation-model/openai.gpt-oss-120b-1:0",
            CHAT,
            "bedrock-invoke-openai",
        ),
        ("bedrock", GPT, CHAT, "bedrock-invoke-openai"),
        ("bedrock", TITAN, EMBEDDINGS, "bedrock-invoke-titan-embed"),
        ("bedrock", "cohere.embed-english-v3", EMBEDDINGS, "bedrock-invoke-cohere-embed"),
        ("vertex", "gemini-2.5-pro", CHAT, "vertex-gemini"),
        ("vertex", "publishers/google/models/gemini-2.5-flash", CHAT, "vertex-gemini"),
        ("vertex", "projects/p/locations/us-central1/models/123", CHAT, "vertex-gemini"),
        ("vertex", "claude-opus-4-8", CHAT, "vertex-claude"),
        ("vertex", "publishers/anthropic/models/claude-haiku-4-5", CHAT, "vertex-claude"),
        ("vertex", "gemini-embedding-001", EMBEDDINGS, "vertex-gemini-embed"),
        ("vertex", "text-multilingual-embedding-002", EMBEDDINGS, "vertex-text-embed"),
    ],
)
def test_the_target_follows_the_model(driver: Any, model: str, endpoint: str, form: str) -> None:
    body = chat(model, max_tokens=5) if endpoint == CHAT else {"model": model, "input": "x"}
    renderer, _ = render(driver, jsonl([record(body, url=endpoint)]))
    assert renderer.problems == [] and renderer.summary().format == form


def test_a_model_for_another_endpoint_is_refused() -> None:
    renderer, _ = render("bedrock", jsonl([record(chat(TITAN))]))
    assert renderer.problems == [f"line 1: the model {TITAN} is for {EMBEDDINGS}, not for {CHAT}"]
