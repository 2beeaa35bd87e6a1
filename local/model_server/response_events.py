"""The bytes of the Responses protocol: the events of a reply, made from the same deltas as chunks are.

Source: OpenAI API reference, "Streaming events" (v1). An agent of Databricks writes calls of its own as functions with
outputs, gives every item one id, and ends with [DONE].
"""

from typing import Any

import orjson

from local.model_server.chunks import DONE, Tokens

type Item = dict[str, Any]

INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}
SEARCH = "web_search"


class ResponseEvents:
    """The frames of one reply. An item is opened with its first delta, and closed when another kind of delta comes."""

    def __init__(self, *, number: int, created: int, model: str, agent: bool) -> None:
        self._head: dict[str, Any] = {
            "id": f"resp_{number:08d}",
            "object": "response",
            "created_at": created,
            "model": model,
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
            "metadata": {},
        }
        self._agent = agent
        self._sequence = 0
        self._output: list[Item] = []
        self._open: Item | None = None
        self._template: tuple[bytes, bytes] | None = None  # around the number and the text of a delta
        self._texts: list[str] = []  # of the message that is open

    def opening(self) -> list[bytes]:
        """What comes before the first delta."""
        return [
            self._event(f"response.{kind}", response=self._response("in_progress"))
            for kind in ("created", "in_progress")
        ]

    def delta(self, delta: bytes) -> bytes:
        """One `delta` object of chat completions."""
        said = orjson.loads(delta)
        if text := said.get("content"):
            return self._in("message") + self._text_delta(text)
        if text := said.get("reasoning_content"):
            return self._in("reasoning") + self._thought(text)
        if text := said.get("refusal"):
            return self._in("refusal") + self._refused(text)
        if served := said.get("served"):
            return self._close() + self._served(served)
        return b"".join(self._call(call) for call in said.get("tool_calls") or ())

    def error(self, error: dict[str, Any]) -> bytes:
        return self._event("error", **error, param=None)

    def closing(self, finish: str, tokens: Tokens, *, usage: bool) -> list[bytes]:
        """What comes behind the last delta; usage is always said."""
        closed = self._close()
        how = "incomplete" if finish in INCOMPLETE else "completed"
        last = self._event(f"response.{how}", response=self._ended(finish, tokens))
        return [*([closed] if closed else []), last, *([DONE] if self._agent else [])]

    def completion(self, message: dict[str, Any], finish: str, tokens: Tokens) -> bytes:
        """The whole reply as one object, for `stream: false`."""
        if thought := message.get("reasoning_content"):
            self._in("reasoning")
            self._thought(thought)
        for served in message.get("served") or ():
            self._close()
            self._served(served)
        if text := message.get("content"):
            self._in("message")
            self._text_delta(text)
        if refusal := message.get("refusal"):
            self._in("refusal")
            self._refused(refusal)
        for call in message.get("tool_calls") or ():
            self._call(call)
        self._close()
        return orjson.dumps(self._ended(finish, tokens))

    def _ended(self, finish: str, tokens: Tokens) -> dict[str, Any]:
        reason = INCOMPLETE.get(finish)
        details = {"reason": reason} if reason else None
        return self._response(
            "incomplete" if reason else "completed",
            output=self._output,
            incomplete_details=details,
            usage={
                "input_tokens": tokens.prompt,
                "input_tokens_details": {"cached_tokens": 0},
                "output_tokens": tokens.completion,
                "output_tokens_details": {"reasoning_tokens": tokens.reasoning},
                "total_tokens": tokens.prompt + tokens.completion,
            },
        )

    def _response(self, status: str, **more: object) -> dict[str, Any]:
        empty = {"output": [], "error": None, "incomplete_details": None, "usage": None}
        return {**self._head, "status": status, **empty, **more}

    def _event(self, kind: str, **more: object) -> bytes:
        row = {"type": kind, "sequence_number": self._sequence, **more}
        self._sequence += 1
        return b"event: %s\ndata: %s\n\n" % (kind.encode(), orjson.dumps(row))

    def _begin(self, item: Item) -> bytes:
        """Of an item as it stands now; it grows in place."""
        item["id"] = "__fake_id__" if self._agent else f"{item['type'][:4]}_{len(self._output)}"
        self._output.append(item)
        self._open, self._template = item, None
        return self._event("response.output_item.added", output_index=self._place, item=item)

    @property
    def _place(self) -> int:
        return len(self._output) - 1

    def _at(self, **more: object) -> dict[str, Any]:
        return {"item_id": self._output[-1]["id"], "output_index": self._place, **more}

    def _in(self, kind: str) -> bytes:
        """Opens an item of this kind unless one is open."""
        if self._open is not None and _kind(self._open) == kind:
            return b""
        closed = self._close()
        if kind == "reasoning":
            begun = self._begin({"type": "reasoning", "summary": []})
            self._output[-1]["summary"].append({"type": "summary_text", "text": ""})
            part = {"type": "summary_text", "text": ""}
            return (
                closed
                + begun
                + self._event("response.reasoning_summary_part.added", **self._at(summary_index=0, part=part))
            )
        begun = self._begin({"type": "message", "role": "assistant", "status": "in_progress", "content": []})
        part = {"type": "refusal", "refusal": ""} if kind == "refusal" else _output_text("")
        self._output[-1]["content"].append(dict(part))
        return (
            closed
            + begun
            + self._event("response.content_part.added", **self._at(content_index=0, part=part))
        )

    def _text_delta(self, text: str) -> bytes:
        self._texts.append(text)
        if self._template is None:
            kind = "response.output_text.delta"
            row = {"type": kind, **self._at(content_index=0, logprobs=[])}
            head = b"event: %s\ndata: %s" % (kind.encode(), orjson.dumps(row)[:-1])
            self._template = (head + b',"sequence_number":', b',"delta":')
        before, between = self._template
        self._sequence += 1
        return b"%s%d%s%s}\n\n" % (before, self._sequence - 1, between, orjson.dumps(text))

    def _refused(self, text: str) -> bytes:
        self._output[-1]["content"][0]["refusal"] += text
        return self._event("response.refusal.delta", **self._at(content_index=0, delta=text))

    def _thought(self, text: str) -> bytes:
        self._output[-1]["summary"][0]["text"] += text
        return self._event("response.reasoning_summary_text.delta", **self._at(summary_index=0, delta=text))

    def _call(self, call: dict[str, Any]) -> bytes:
        function = call["function"]
        frames = b""
        if "name" in function:
            item = {"type": "function_call", "call_id": call["id"], "name": function["name"]}
            frames = self._close() + self._begin({**item, "arguments": "", "status": "in_progress"})
        if text := function["arguments"]:
            self._output[-1]["arguments"] += text
            frames += self._event("response.function_call_arguments.delta", **self._at(delta=text))
        return frames

    def _served(self, served: dict[str, str]) -> bytes:
        """A call that the service runs itself, and what came of it."""
        name, arguments, output = served["name"], served["arguments"], served["output"]
        if self._agent:
            call = {"type": "function_call", "call_id": served["id"], "name": name, "arguments": arguments}
            told = self._begin({**call, "status": "in_progress"}) + self._close()
            answer = {"type": "function_call_output", "call_id": served["id"], "output": output}
            return told + self._begin(answer) + self._close()
        if name == SEARCH:
            begun = self._begin({"type": "web_search_call", "status": "in_progress"})
            progress = self._event("response.web_search_call.searching", **self._at())
            self._output[-1]["action"] = {"type": "search", "query": arguments}
            return begun + progress + self._close()
        begun = self._begin({"type": "mcp_call", "name": name, "server_label": "local", "arguments": ""})
        self._output[-1]["arguments"] = arguments
        asked = self._event("response.mcp_call_arguments.done", **self._at(arguments=arguments))
        progress = self._event("response.mcp_call.in_progress", **self._at())
        self._output[-1] |= {"output": output, "error": None, "status": "completed"}
        return begun + asked + progress + self._close()

    def _close(self) -> bytes:
        """The events that end what is open."""
        item, self._open = self._open, None
        if item is None:
            return b""
        if "status" in item:
            item["status"] = "completed"
        return self._parts_done(item) + self._event(
            "response.output_item.done", output_index=self._place, item=item
        )

    def _parts_done(self, item: Item) -> bytes:
        if item["type"] == "function_call" and not self._agent:
            given = {"name": item["name"], "arguments": item["arguments"]}
            return self._event("response.function_call_arguments.done", **self._at(**given))
        if item["type"] == "reasoning":
            part = item["summary"][0]
            done = self._event(
                "response.reasoning_summary_text.done", **self._at(summary_index=0, text=part["text"])
            )
            return done + self._event(
                "response.reasoning_summary_part.done", **self._at(summary_index=0, part=part)
            )
        if item["type"] != "message":
            return b""
        part = item["content"][0]
        at = self._at(content_index=0)
        if self._texts:
            part["text"], self._texts = "".join(self._texts), []
        if part["type"] == "refusal":
            done = self._event("response.refusal.done", **at, refusal=part["refusal"])
        else:
            done = self._event("response.output_text.done", **at, text=part["text"], logprobs=[])
        return done + self._event("response.content_part.done", **at, part=part)


def _kind(item: Item) -> str:
    """As deltas tell items apart."""
    refuses = item["type"] == "message" and item["content"][0]["type"] == "refusal"
    return "refusal" if refuses else item["type"]


def _output_text(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
