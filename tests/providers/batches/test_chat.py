"""What every chat target does with what OpenAI's request can say: it is mapped or refused."""

import json
from typing import Any

import pytest
from openai.types.chat import completion_create_params

from providers.batches.rendering import BatchOptions
from providers.batches.targets.table import RenderedDriver
from tests.providers.batches.lines import (
    CLAUDE,
    CONVERSE,
    GEMINI,
    GPT,
    NOVA,
    PDF,
    PNG,
    chat,
    jsonl,
    problem,
    record,
    render,
    rendered_line,
    user,
)
from tests.providers.batches.oracles import check_claude, check_converse, check_gemini

TARGETS: list[tuple[RenderedDriver, str]] = [
    ("bedrock", CONVERSE),
    ("bedrock", GPT),
    ("vertex", GEMINI),
    ("vertex", CLAUDE),
]
every_target = pytest.mark.parametrize(("driver", "model"), TARGETS)


@every_target
def test_fields_that_change_no_answer_are_left_out_and_listed(driver: RenderedDriver, model: str) -> None:
    neutral = {
        "user": "user-mark",
        "metadata": {"a": "metadata-mark"},
        "store": True,
        "service_tier": "tier-mark",
        "safety_identifier": "identifier-mark",
        "prompt_cache_key": "key-mark",
    }
    renderer, rendered = render(driver, jsonl([record(chat(model, max_tokens=5, **neutral))]))
    assert renderer.problems == []
    assert renderer.summary().ignored == tuple(sorted(neutral))
    assert b"mark" not in rendered


@every_target
def test_every_field_of_openais_own_request_is_mapped_or_refused_and_never_dropped(
    driver: RenderedDriver, model: str
) -> None:
    fields = set(completion_create_params.CompletionCreateParamsBase.__annotations__) - {"model", "messages"}
    for name in fields | {"unheard_of"}:
        mark = {"mark": "-mark-"}
        renderer, rendered = render(driver, jsonl([record(chat(model, max_tokens=5) | {name: mark})]))
        if not renderer.problems:
            assert name in renderer.summary().ignored or b"-mark-" in rendered, name
        else:
            assert f"'body.{name}" in renderer.problems[0] or name in renderer.problems[0], renderer.problems


@every_target
@pytest.mark.parametrize(
    "fields",
    [
        {"n": 2},
        {"n": True},
        {"stream": True},
        {"logprobs": True},
        {"modalities": ["text", "audio"]},
        {"prediction": {"type": "content", "content": "x"}},
        {"web_search_options": {}},
        {"verbosity": "low"},
        {"max_tokens": 0},
        {"max_tokens": 5.5},
        {"max_tokens": 10**30},
        {"max_tokens": True},
        {"max_tokens": 5, "max_completion_tokens": 6},
        {"temperature": -1},
        {"temperature": 10**400},
        {"temperature": "hot"},
        {"top_p": 1.1},
        {"stop": ["a", "b", "c", "d", "e"]},
        {"stop": [""]},
        {"stop": 5},
        {"reasoning_effort": 3},
        {"reasoning_effort": "extreme"},
        {"frequency_penalty": 3},
        {"seed": 1.5},
        {"messages": []},
        {"messages": [{"role": "system", "content": "x"}]},
        {"messages": [{"role": "assistant", "content": "x"}]},
        {"messages": [user("x"), {"role": "system", "content": "x"}]},
        {"messages": [user("")]},
        {"messages": [user(" \n")]},
        {"messages": [user([])]},
        {"messages": [user(None)]},
        {"messages": [user([{"type": "text", "text": "x", "prompt_cache_breakpoint": {}}])]},
        {"messages": [user([{"type": "video_url", "video_url": {}}])]},
        {"messages": [{"role": "user", "content": "x", "name": "Ada"}]},
        {"messages": [{"role": "robot", "content": "x"}]},
        {"messages": [user("x"), {"role": "assistant", "content": None, "refusal": "no"}]},
        {"messages": [user([{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}])]},
        {"messages": [user([{"type": "image_url", "image_url": {"url": PNG, "detail": "high"}}])]},
        {"messages": [user([{"type": "image_url", "image_url": {"url": "data:image/png;base64,a"}}])]},
        {"messages": [user([{"type": "image_url", "image_url": {"url": "data:image/png;base64,"}}])]},
        {"messages": [user([{"type": "image_url", "image_url": {"url": "data:image/png,raw"}}])]},
        {"messages": [user([{"type": "file", "file": {"file_id": "file-1"}}])]},
    ],
    ids=lambda fields: json.dumps(fields)[:60],
)
def test_what_no_batch_can_do_is_refused(driver: RenderedDriver, model: str, fields: dict[str, Any]) -> None:
    problem(driver, {**chat(model, max_tokens=5), **fields})


@every_target
def test_values_that_say_nothing_are_taken(driver: RenderedDriver, model: str) -> None:
    quiet = {
        "n": 1,
        "stream": False,
        "logprobs": False,
        "seed": None,
        "frequency_penalty": 0,
        "logit_bias": {},
        "modalities": ["text"],
        "response_format": {"type": "text"},
        "tools": None,
        "temperature": None,
        "tool_choice": "none",
    }
    plain, loud = chat(model, max_tokens=5), chat(model, max_tokens=5, **quiet)
    if model != GPT:  # which takes OpenAI's own words
        assert rendered_line(driver, loud) == rendered_line(driver, plain)
    else:
        rendered_line(driver, loud)


@pytest.mark.parametrize(("driver", "model"), [("bedrock", CONVERSE), ("vertex", CLAUDE)])
@pytest.mark.parametrize(
    ("name", "value"),
    [("seed", 7), ("frequency_penalty", 1), ("presence_penalty", -1), ("logit_bias", {"1": 5})],
)
def test_an_account_refuses_or_ignores_what_a_target_lacks(
    driver: RenderedDriver, model: str, name: str, value: Any
) -> None:
    body = chat(model, max_tokens=5, **{name: value})
    assert f"'body.{name}' does not exist for this model" in problem(driver, body)
    renderer, _ = render(driver, jsonl([record(body)]), BatchOptions(unsupported="ignore"))
    assert renderer.problems == [] and renderer.summary().ignored == (name,)


@every_target
def test_a_conversation_with_images_and_documents_keeps_everything(
    driver: RenderedDriver, model: str
) -> None:
    body = chat(
        model,
        {"role": "system", "content": "system-mark"},
        {"role": "developer", "content": [{"type": "text", "text": "developer-mark"}]},
        user([{"type": "text", "text": "one-mark"}, {"type": "image_url", "image_url": {"url": PNG}}]),
        user(
            [
                {"type": "text", "text": "two-mark"},
                {"type": "file", "file": {"file_data": PDF, "filename": "two.pdf"}},
            ]
        ),
        {"role": "assistant", "content": "three-mark"},
        user("four-mark"),
        max_completion_tokens=77,
        temperature=0.25,
        top_p=0.75,
        stop="stop-mark",
    )
    line = rendered_line(driver, body)
    text = json.dumps(line)
    for mark in ("system", "developer", "one", "two", "three", "four", "stop"):
        assert text.count(f"{mark}-mark") == 1
    for kept in (PNG.partition(",")[2], PDF.partition(",")[2], "77", "0.25", "0.75"):
        assert kept in text
    if model == GPT:
        assert "model" not in line["modelInput"]
    else:
        {CONVERSE: check_converse, GEMINI: check_gemini, CLAUDE: check_claude}[model](line)


# -- Bedrock: Converse -------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", [CONVERSE, GPT])
@pytest.mark.parametrize(
    "fields",
    [
        {"tools": [{"type": "function", "function": {"name": "f"}}]},
        {"tool_choice": "required"},
        {"response_format": {"type": "json_object"}},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {}}}},
        {"messages": [user("x"), {"role": "tool", "tool_call_id": "c", "content": "42"}]},
    ],
)
def test_bedrocks_batches_call_no_tools_and_structure_no_output(model: str, fields: dict[str, Any]) -> None:
    problem("bedrock", {**chat(model), **fields})


def test_converse_takes_a_cooler_temperature_than_openai() -> None:
    assert "from 0 to 1" in problem("bedrock", chat(CONVERSE, temperature=1.5))
    problem("bedrock", chat("anthropic.claude-opus-4-8", temperature=0.5))
    rendered_line("bedrock", chat("anthropic.claude-opus-4-8", temperature=1))


def test_documents_of_converse_have_names_of_their_own_and_text_beside_them() -> None:
    names = ["März_2.pdf", "März_2.pdf", "报告.pdf", None]
    parts: list[Any] = [{"type": "file", "file": {"file_data": PDF, "filename": name}} for name in names]
    line = rendered_line("bedrock", chat(CONVERSE, user([{"type": "text", "text": "Compare"}, *parts])))
    check_converse(line)
    blocks = line["modelInput"]["messages"][0]["content"]
    found = [block["document"]["name"] for block in blocks if "document" in block]
    assert found == ["Marz 2", "Marz 2 (2)", "document", "document (2)"]
    assert "a document and no text" in problem("bedrock", chat(CONVERSE, user(parts)))


@pytest.mark.parametrize(
    ("model", "effort", "fields"),
    [
        (CONVERSE, "low", {"thinking": {"type": "enabled", "budget_tokens": 1024}}),
        (CONVERSE, "none", {"thinking": {"type": "disabled"}}),
        (
            "us.anthropic.claude-opus-4-6-v1",
            "medium",
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "medium"}},
        ),
        (
            "amazon.nova-2-lite-v1:0",
            "low",
            {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "low"}},
        ),
    ],
)
def test_converse_is_told_how_hard_to_think(model: str, effort: str, fields: dict[str, Any]) -> None:
    line = rendered_line("bedrock", chat(model, reasoning_effort=effort))
    check_converse(line)
    assert line["modelInput"]["additionalModelRequestFields"] == fields


def test_thinking_is_refused_where_it_cannot_be() -> None:
    llama = "meta.llama3-1-8b-instruct-v1:0"
    assert "does not exist for the model" in problem("bedrock", chat(llama, reasoning_effort="low"))
    short = chat(CONVERSE, reasoning_effort="high", max_tokens=1000)
    assert "raise 'max_tokens'" in problem("bedrock", short)
    cold = chat(CLAUDE, reasoning_effort="low", max_tokens=9000, temperature=0)
    assert "while Claude thinks" in problem("vertex", cold)
    assert "minimal or low" in problem("vertex", chat("gemini-2.5-pro", reasoning_effort="none"))
    assert "leave them out" in problem("bedrock", chat(NOVA, reasoning_effort="high", max_tokens=9))


# -- Bedrock: OpenAI's own models --------------------------------------------------------------------------


def test_openais_models_are_invoked_with_openais_body_without_its_model() -> None:
    body = chat(GPT, max_tokens=9, seed=3, reasoning_effort="low", logit_bias={"1": 2}, user="u")
    assert rendered_line("bedrock", body, custom_id="ü") == {
        "recordId": "ü",
        "modelInput": {
            "messages": body["messages"],
            "seed": 3,
            "reasoning_effort": "low",
            "logit_bias": {"1": 2},
            "max_completion_tokens": 9,
        },
    }


def test_lines_for_the_openai_endpoint_stay_byte_for_byte() -> None:
    body = b'{"model":"%s", "messages":[ {"role":"user","content":"\\u00fc"} ]}' % GPT.encode()
    data = b'{"body" : ' + body + b', "url": "/v1/chat/completions", "method":"POST" , "custom_id":"a"}\r\n'
    renderer, rendered = render("bedrock", data, BatchOptions(job="openai"))
    assert renderer.problems == [] and rendered == data.replace(b"\r\n", b"\n")
    assert renderer.summary().format == "openai"


def test_an_alias_is_replaced_in_lines_for_the_openai_endpoint() -> None:
    options = BatchOptions(job="openai", models={"gpt": GPT})
    line = rendered_line("bedrock", chat("gpt", temperature=0.1, seed=10**17), options)
    assert line == record(chat(GPT, temperature=0.1, seed=10**17))
    assert "does not stream" in problem("bedrock", chat("gpt", stream=True), options)


def test_other_models_are_conversed_with_where_jobs_go_to_the_openai_endpoint() -> None:
    check_converse(rendered_line("bedrock", chat(CONVERSE), BatchOptions(job="openai")))


# -- Vertex ------------------------------------------------------------------------------------------------

TOOLS = [
    {
        "type": "function",
        "function": {"name": "weather", "description": "Tell it", "parameters": {"type": "object"}},
    }
]
CALLED: list[Any] = [
    user("How is it?"),
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"a": 1}'}}
        ],
    },
    {"role": "tool", "tool_call_id": "call_1", "content": "Rain"},
    user("And now?"),
]


def test_gemini_gets_its_own_words() -> None:
    body = chat(
        GEMINI,
        seed=5,
        frequency_penalty=0.5,
        presence_penalty=-0.5,
        reasoning_effort="medium",
        response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}},
    )
    line = rendered_line("vertex", body)
    check_gemini(line)
    assert line["request"]["generationConfig"] == {
        "seed": 5,
        "frequencyPenalty": 0.5,
        "presencePenalty": -0.5,
        "responseMimeType": "application/json",
        "responseJsonSchema": {"type": "object", "title": "n"},
        "thinkingConfig": {"thinkingBudget": 8192},
    }
    assert "whole number" in problem("vertex", chat(GEMINI, seed=2**40))
    assert "logit_bias" in problem("vertex", chat(GEMINI, logit_bias={"1": 1}))


def test_gemini_fetches_from_cloud_storage_only() -> None:
    content = [{"type": "image_url", "image_url": {"url": "gs://bucket/a.jpg"}}]
    line = rendered_line("vertex", chat(GEMINI, user(content)))
    check_gemini(line)
    found = line["request"]["contents"][0]["parts"][0]
    assert found == {"fileData": {"mimeType": "image/jpeg", "fileUri": "gs://bucket/a.jpg"}}
    content[0]["image_url"] = {"url": "gs://bucket/a"}
    problem("vertex", chat(GEMINI, user(content)))


def test_gemini_hears() -> None:
    sound = {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}
    line = rendered_line("vertex", chat(GEMINI, user([sound])))
    check_gemini(line)
    heard = {"inlineData": {"mimeType": "audio/wav", "data": "UklGRg=="}}
    assert line["request"]["contents"][0]["parts"] == [heard]
    problem("vertex", chat(CLAUDE, user([sound]), max_tokens=5))
    problem("bedrock", chat(CONVERSE, user([sound])))


@pytest.mark.parametrize(
    "choice", ["auto", "none", "required", {"type": "function", "function": {"name": "weather"}}]
)
def test_tools_are_declared_chosen_called_and_answered(choice: Any) -> None:
    for model, check in ((GEMINI, check_gemini), (CLAUDE, check_claude)):
        line = rendered_line("vertex", chat(model, *CALLED, tools=TOOLS, tool_choice=choice, max_tokens=5))
        check(line)
        text = json.dumps(line)
        for kept in ("How is it?", "weather", "Tell it", '"a": 1', "Rain", "call_1", "And now?"):
            assert kept in text


def test_tools_that_cannot_be_are_refused() -> None:
    orphan = chat(GEMINI, user("x"), CALLED[2], tools=TOOLS)
    assert "no assistant message calls" in problem("vertex", orphan)
    assert "signature" in problem("vertex", chat("gemini-3-flash", *CALLED, tools=TOOLS))
    assert "type' must be function" in problem("vertex", chat(GEMINI, tools=[{"type": "web_search"}]))
    strict = {"type": "function", "function": {"name": "f", "strict": True}}
    assert "strict" in problem("vertex", chat(GEMINI, tools=[strict]))
    assert "nothing to call" in problem("vertex", chat(GEMINI, tool_choice="required"))
    broken = json.loads(json.dumps(CALLED).replace('{\\"a\\": 1}', "[1]"))
    assert "not a JSON object" in problem("vertex", chat(CLAUDE, *broken, tools=TOOLS, max_tokens=5))
    spaced = json.loads(json.dumps(CALLED).replace("call_1", "call 1"))
    assert "ids of tool calls" in problem("vertex", chat(CLAUDE, *spaced, tools=TOOLS, max_tokens=5))


def test_claude_needs_a_length_and_takes_no_newer_sampling() -> None:
    assert "add 'max_tokens'" in problem("vertex", chat(CLAUDE))
    assert "leave it out" in problem("vertex", chat("claude-opus-4-8", max_tokens=5, temperature=0.2))
    assert "from 0 to 1" in problem("vertex", chat(CLAUDE, max_tokens=5, temperature=1.2))


def test_claude_reads_text_documents_as_text() -> None:
    part = {"type": "file", "file": {"file_data": "data:text/plain;base64,w7w=", "filename": "a.txt"}}
    line = rendered_line("vertex", chat(CLAUDE, user([part]), max_tokens=5))
    check_claude(line)
    source = {"type": "text", "media_type": "text/plain", "data": "ü"}
    assert line["request"]["messages"][0]["content"] == [
        {"type": "document", "source": source, "title": "a.txt"}
    ]
