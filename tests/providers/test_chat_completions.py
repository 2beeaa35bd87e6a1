"""The chat completions protocol: chunks read."""

from typing import Any

import orjson
import pytest

from chat.errors import (
    BadProviderReply,
    ProviderError,
    ProviderRateLimited,
    ProviderRejected,
    ProviderUnavailable,
)
from chat.providers.base import (
    ModelChosen,
    ModelDelta,
    ReasoningPiece,
    StopReason,
    TextPiece,
    ToolCallPiece,
    UsageReport,
)
from chat.providers.bounds import MOST_CALLS, MOST_NAME, MOST_TOKENS
from chat.providers.chat_completions import ChunkReader
from tests.support.model_service import chunk

CHOSEN, STOP = ModelChosen("gpt-9"), StopReason("stop")
END = chunk(reason="stop")
HI = chunk({"content": "Hi"})


def call(**fields: Any) -> dict[str, Any]:
    return chunk({"tool_calls": [fields]})


REPLIES: dict[str, tuple[list[dict[str, Any]], list[ModelDelta]]] = {
    "text": ([HI, END], [CHOSEN, TextPiece("Hi"), STOP]),
    "nothing at all": ([END], [CHOSEN, STOP]),
    "text and reason at once": (
        [chunk({"content": "Hi"}, reason="length")],
        [CHOSEN, TextPiece("Hi"), StopReason("length")],
    ),
    "empty and null": (
        [chunk({"role": "assistant", "content": ""}), chunk({"content": None}), chunk(None), HI, END],
        [CHOSEN, TextPiece("Hi"), STOP],
    ),
    "null fields": (
        [{"model": "gpt-9", "choices": [{"delta": None}], "usage": None, "error": None}, HI, END],
        [CHOSEN, TextPiece("Hi"), STOP],
    ),
    "no choices": (
        [{"model": "", "choices": []}, {"choices": None}, {}, HI, END],
        [CHOSEN, TextPiece("Hi"), STOP],
    ),
    "no model": (
        [{"choices": [{"delta": {"content": "Hi"}, "finish_reason": "stop"}]}],
        [ModelChosen("asked"), TextPiece("Hi"), STOP],
    ),
    "no model and no text": ([{"choices": [{"finish_reason": "stop"}]}], [ModelChosen("asked"), STOP]),
    "the model of the first chunk counts": (
        [chunk({"content": "a"}, model="one"), chunk({"content": "b"}, model="two"), END],
        [ModelChosen("one"), TextPiece("a"), TextPiece("b"), STOP],
    ),
    "reasoning": (
        [chunk({"reasoning_content": "Hm"}), chunk({"reasoning": "m"}), HI, END],
        [CHOSEN, ReasoningPiece("Hm"), ReasoningPiece("m"), TextPiece("Hi"), STOP],
    ),
    "reasoning said twice": (
        [chunk({"reasoning": "Hm", "reasoning_content": "Hm"}), END],
        [CHOSEN, ReasoningPiece("Hm"), STOP],
    ),
    "reasoning as others spell it": (
        [
            chunk({"thinking": "H"}),
            chunk({"reasoning_details": [{"type": "reasoning.text", "text": "m"}]}),
            chunk({"reasoning_details": [{"type": "reasoning.summary", "summary": "m"}]}),
            chunk({"reasoning_details": [{"type": "reasoning.encrypted", "data": "x"}]}),
            END,
        ],
        [CHOSEN, ReasoningPiece("H"), ReasoningPiece("m"), ReasoningPiece("m"), STOP],
    ),
    "reasoning and its details": (
        [chunk({"reasoning": "Hm", "reasoning_details": [{"text": "Hm"}]}), END],
        [CHOSEN, ReasoningPiece("Hm"), STOP],
    ),
    "reasoning in tags": (
        [chunk({"content": each}) for each in ("<think>", "H", "m", "</think>", "\n\n", "Hi", " <think>")]
        + [END],
        [CHOSEN, *[ReasoningPiece(each) for each in "Hm"], TextPiece("Hi"), TextPiece(" <think>"), STOP],
    ),
    "half a tag at the end": ([chunk({"content": "<th"}), END], [CHOSEN, TextPiece("<th"), STOP]),
    "content in parts": (
        [
            chunk({"content": [{"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm"}]}]}),
            chunk({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "m"}]}]}),
            chunk({"content": [{"type": "text", "text": "Hi"}, {"type": "text", "text": ""}]}),
            chunk({"content": []}),
            END,
        ],
        [CHOSEN, ReasoningPiece("Hm"), ReasoningPiece("m"), TextPiece("Hi"), STOP],
    ),
    "the whole reply in one chunk": (
        [
            {
                "model": "gpt-9",
                "choices": [{"message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 5, "completion_tokens": 1},
            }
        ],
        [CHOSEN, TextPiece("Hi"), STOP, UsageReport(5, 1)],
    ),
    "with annotations of Azure's filter": (
        [
            {"model": "", "choices": [], "prompt_filter_results": [{"prompt_index": 0}]},
            HI | {"content_filter_results": {"hate": {"filtered": False, "severity": "safe"}}},
            {
                "model": "",
                "choices": [
                    {"index": 0, "content_filter_offsets": {"check_offset": 2}, "finish_reason": None}
                ],
            },
            END,
        ],
        [CHOSEN, TextPiece("Hi"), STOP],
    ),
    "a refusal is text": (
        [chunk({"content": None, "refusal": "No."}), END],
        [CHOSEN, TextPiece("No."), STOP],
    ),
    "content filter": (
        [HI, chunk(reason="content_filter")],
        [CHOSEN, TextPiece("Hi"), StopReason("content_filter")],
    ),
    "an unheard reason": ([HI, chunk(reason="eos")], [CHOSEN, TextPiece("Hi"), STOP]),
    "text after the reason": ([END, HI], [CHOSEN, TextPiece("Hi"), STOP]),
    "reason said twice": ([HI, END, END], [CHOSEN, TextPiece("Hi"), STOP]),
    "usage": (
        [HI, END, {"model": "gpt-9", "choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 1}}],
        [CHOSEN, TextPiece("Hi"), STOP, UsageReport(5, 1)],
    ),
    "growing usage": (
        [
            chunk({"content": "a"}, usage={"prompt_tokens": 5, "completion_tokens": 1}),
            chunk({"content": "b"}, reason="stop", usage={"prompt_tokens": 5, "completion_tokens": 2}),
        ],
        [CHOSEN, TextPiece("a"), TextPiece("b"), STOP, UsageReport(5, 2)],
    ),
    "usage of nulls": (
        [END | {"usage": {"prompt_tokens": None, "total_tokens": 3}}],
        [CHOSEN, STOP],
    ),
    "usage that is no number": (
        [END | {"usage": {"prompt_tokens": "many", "completion_tokens": [1]}}],
        [CHOSEN, STOP],
    ),
    "usage beyond all measure": (
        [END | {"usage": {"prompt_tokens": -5, "completion_tokens": 1e300}}],
        [CHOSEN, STOP, UsageReport(0, MOST_TOKENS)],
    ),
    "usage of half a number": (
        [END | {"usage": {"prompt_tokens": 7.9, "completion_tokens": None}}],
        [CHOSEN, STOP, UsageReport(7, 0)],
    ),
    "calls that share an id": (
        [
            call(index=0, id="a", function={"name": "now", "arguments": "{"}),
            call(index=0, function={"arguments": "}"}),
            call(index=1, id="a", function={"name": "now", "arguments": "{"}),
            call(index=1, id="a", function={"arguments": '"b":1}'}),
            call(index=2, id="a_", function={"name": "now", "arguments": "{}"}),
            END,
        ],
        [
            CHOSEN,
            ToolCallPiece(0, "a", "now", "{"),
            ToolCallPiece(0, arguments="}"),
            ToolCallPiece(1, "a_", "now", "{"),
            ToolCallPiece(1, arguments='"b":1}'),
            ToolCallPiece(2, "a__", "now", "{}"),
            StopReason("tool_calls"),
        ],
    ),
    "calls with a long id": (
        [
            call(index=index, id=str(index) * 40_000, function={"name": "now", "arguments": "{}"})
            for index in (0, 1)
        ]
        + [END],
        [
            CHOSEN,
            ToolCallPiece(0, "call_0", "now", "{}"),
            ToolCallPiece(1, "call_1", "now", "{}"),
            StopReason("tool_calls"),
        ],
    ),
    "an index that is none": (
        [call(index="x" * 40_000, function={"name": "now", "arguments": "{}"}), END],
        [CHOSEN, ToolCallPiece(0, "call_0", "now", "{}"), StopReason("tool_calls")],
    ),
    "a call with a long name": (
        [call(index=0, id=7, function={"name": "now\n" + "w" * 40_000, "arguments": "{}"}), END],
        [
            CHOSEN,
            ToolCallPiece(0, "7", "now\ufffd" + "w" * (MOST_NAME - 4), "{}"),
            StopReason("tool_calls"),
        ],
    ),
    "a model with a long name": (
        [chunk({"content": "Hi"}, model="m" * 40_000), END],
        [ModelChosen("m" * MOST_NAME), TextPiece("Hi"), STOP],
    ),
    "more calls than one can use": (
        [
            call(index=index, id=f"c{index}", function={"name": "now", "arguments": "{}"})
            for index in range(MOST_CALLS + 2)
        ]
        + [END],
        [
            CHOSEN,
            *(ToolCallPiece(index, f"c{index}", "now", "{}") for index in range(MOST_CALLS)),
            StopReason("tool_calls"),
        ],
    ),
    "a call": (
        [
            call(index=0, id="a", function={"name": "now", "arguments": ""}),
            call(index=0, function={"arguments": "{}"}),
            chunk(reason="tool_calls"),
        ],
        [CHOSEN, ToolCallPiece(0, "a", "now"), ToolCallPiece(0, arguments="{}"), StopReason("tool_calls")],
    ),
    "a call that ends with stop": (
        [call(index=0, id="a", function={"name": "now", "arguments": "{}"}), END],
        [CHOSEN, ToolCallPiece(0, "a", "now", "{}"), StopReason("tool_calls")],
    ),
    "a call as of old": (
        [call(index=0, id="a", function={"name": "now"}), chunk(reason="function_call")],
        [CHOSEN, ToolCallPiece(0, "a", "now"), StopReason("tool_calls")],
    ),
    "a call without an id": (
        [
            call(index=0, function={"name": "now", "arguments": "{"}),
            call(index=0, function={"arguments": "}"}),
            END,
        ],
        [
            CHOSEN,
            ToolCallPiece(0, "call_0", "now", "{"),
            ToolCallPiece(0, arguments="}"),
            StopReason("tool_calls"),
        ],
    ),
    "ids and names said again": (
        [call(index=0, id="a", function={"name": "now", "arguments": c}) for c in "{}"] + [END],
        [
            CHOSEN,
            ToolCallPiece(0, "a", "now", "{"),
            ToolCallPiece(0, arguments="}"),
            StopReason("tool_calls"),
        ],
    ),
    "calls without an index": (
        [
            call(id="a", function={"name": "now", "arguments": "{"}),
            call(function={"arguments": "}"}),
            call(id="b", function={"name": "sum", "arguments": "{}"}),
            END,
        ],
        [
            CHOSEN,
            ToolCallPiece(0, "a", "now", "{"),
            ToolCallPiece(0, arguments="}"),
            ToolCallPiece(1, "b", "sum", "{}"),
            StopReason("tool_calls"),
        ],
    ),
    "calls that share an index": (
        [call(index=0, id=i, function={"name": "now", "arguments": "{}"}) for i in "ab"] + [END],
        [
            CHOSEN,
            ToolCallPiece(0, "a", "now", "{}"),
            ToolCallPiece(1, "b", "now", "{}"),
            StopReason("tool_calls"),
        ],
    ),
    "two calls in one chunk": (
        [
            chunk(
                {
                    "tool_calls": [
                        {"index": i, "id": f"c{i}", "function": {"name": "now", "arguments": None}}
                        for i in (0, 1)
                    ]
                }
            ),
            END,
        ],
        [CHOSEN, ToolCallPiece(0, "c0", "now"), ToolCallPiece(1, "c1", "now"), StopReason("tool_calls")],
    ),
}


def read(chunks: list[dict[str, Any]]) -> list[ModelDelta]:
    reader = ChunkReader("asked")
    deltas = [delta for each in chunks for delta in reader.read(orjson.dumps(each))]
    return [*deltas, *reader.finish()]


@pytest.mark.parametrize("name", REPLIES)
def test_every_reply_is_read(name: str):
    chunks, expected = REPLIES[name]
    assert read(chunks) == expected


def test_who_answers_is_known_before_the_first_word():
    reader = ChunkReader("asked")
    assert list(reader.read(orjson.dumps(chunk({"role": "assistant", "content": ""})))) == [CHOSEN]


UNWRITABLE: list[tuple[bytes, str]] = [
    (rb"a \ud800 b", "a \ufffd b"),
    (rb"\udc00", "\ufffd"),
    (rb"\ud83d\ude00 \ud83d", "\U0001f600 \ufffd"),
    (rb"\\ud800 \ud800", "\\ud800 \ufffd"),
    (b"a\xff", "a\ufffd"),
    (b"\xed\xa0\x80", "\ufffd\ufffd\ufffd"),
]


@pytest.mark.parametrize(("written", "said"), UNWRITABLE)
def test_what_cannot_be_written_as_utf_8_is_replaced(written: bytes, said: str):
    reader = ChunkReader("asked")
    data = b'{"model":"gpt-9","choices":[{"delta":{"content":"' + written + b'"}}]}'
    assert list(reader.read(data)) == [CHOSEN, TextPiece(said)]


def test_what_is_nested_without_end_is_a_bad_reply():
    with pytest.raises(BadProviderReply, match="cannot be read"):
        ChunkReader("asked").read(b'{"choices":' + b"[" * 100_000)


def test_nothing_is_read_after_done():
    reader = ChunkReader("asked")
    reader.read(orjson.dumps(HI))
    assert list(reader.read(b"[DONE]")) == []
    assert list(reader.read(orjson.dumps(HI))) == []
    assert reader.done


def test_a_reply_without_a_reason_is_a_cut():
    reader = ChunkReader("asked")
    reader.read(orjson.dumps(HI))
    reader.read(b"[DONE]")
    with pytest.raises(BadProviderReply, match="broke off"):
        reader.finish()


BARE_ERRORS: list[tuple[dict[str, Any], type[ProviderError]]] = [
    ({"object": "error", "message": "too many", "code": 429}, ProviderRateLimited),
    ({"error_code": "REQUEST_LIMIT_EXCEEDED", "message": "too many"}, ProviderRateLimited),
    ({"error_code": "TEMPORARILY_UNAVAILABLE"}, ProviderUnavailable),
    ({"error_code": "BAD_REQUEST", "message": "no"}, ProviderRejected),
]


@pytest.mark.parametrize(("error", "kind"), BARE_ERRORS)
def test_an_error_that_does_not_say_so_is_raised(error: dict[str, Any], kind: type[ProviderError]):
    with pytest.raises(kind):
        ChunkReader("asked").read(orjson.dumps(error))


@pytest.mark.parametrize("reason", ["error", "abort"])
def test_a_reason_that_is_a_failure_is_no_end(reason: str):
    reader = ChunkReader("asked")
    with pytest.raises(BadProviderReply, match="broke off"):
        reader.read(orjson.dumps(chunk(reason=reason)))
    assert not reader.complete


def test_an_error_object_is_raised():
    with pytest.raises(ProviderRateLimited):
        ChunkReader("asked").read(b'{"error":{"code":"rate_limit_exceeded"}}')


MALFORMED = [
    b"{",
    b"nonsense",
    b"\xff",
    b"[]",
    b"1",
    b'"text"',
    b"null",
    b'{"choices":[1]}',
    b'{"choices":{"a":1}}',
    b'{"choices":[{"delta":[1]}]}',
    b'{"choices":[{"delta":{"content":["a"]}}]}',
    b'{"choices":[{"delta":{"content":{"a":1}}}]}',
    b'{"choices":[{"delta":{"reasoning":["a"]}}]}',
    b'{"choices":[{"delta":{"reasoning_details":["a"]}}]}',
]


@pytest.mark.parametrize("data", MALFORMED)
def test_what_is_no_chunk_is_a_bad_reply(data: bytes):
    with pytest.raises(BadProviderReply, match="cannot be read"):
        ChunkReader("asked").read(data)


def test_an_empty_event_is_passed_over():
    assert list(ChunkReader("asked").read(b"")) == []
