"""Sessions, messages and turns to rows and back, without I/O."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, cast

import orjson

from chat.conversation import Asked, MemberRole, Session, Turn, TurnError, WaitingMessage
from chat.events import JSONObject
from chat.messages import Message, Usage, message_id
from chat.requests import TurnRequest
from chat.store.membership import offers_from_json, offers_to_json
from chat.store.request_json import request_from_json
from chat.store.tables.table_keys import HEAD, message_key, seq_of, turn_key
from chat.store.tables.table_properties import (
    Entity,
    Stored,
    chunked,
    dumped,
    integer,
    joined,
    json_chunked,
    json_object,
    loaded,
    moment,
    named,
    split_text,
    text_weight,
)

SCHEMA = 1
# An entity has 1 MiB: of UTF-16 in Azure, of the request's JSON in Azurite. So its text must fit by both measures.
CHUNKS_PER_ROW = 14
ROW_BYTES = 900 * 1024


def head_to_row(session: Session, *, last_turn: str = "") -> Entity:
    """What an append changes of the head, to be merged."""
    return {
        "PartitionKey": session.id,
        "RowKey": HEAD,
        "title": session.title,
        "message_count": session.message_count,
        "last_seq": session.last_seq,
        "running_turn": session.running_turn,
        "start_nonce": session.start_nonce,
        "last_turn": last_turn,
        "updated_at": session.updated_at,
        "waiting": orjson.dumps([_waiting(each) for each in session.waiting]).decode()
        if session.waiting
        else "",
        "asked": orjson.dumps([[each.key, each.question, each.turn] for each in session.asked]).decode(),
    }


def _waiting(each: WaitingMessage) -> JSONObject:
    """Without the request, which has rows of its own."""
    asked = each.request
    return {"seq": each.seq, "user_id": asked.user_id, "dialect": asked.dialect, "parts": each.parts}


def _waiting_from(row: Stored) -> WaitingMessage:
    """Before requests had rows, what they asked for stood here."""
    request = TurnRequest(row["user_id"], dialect=row["dialect"])
    return WaitingMessage(row["seq"], request_from_json(row, request), row.get("parts", 0))


def new_head_to_row(session: Session, *, last_turn: str = "") -> Entity:
    """The whole head, to be created."""
    row = head_to_row(session, last_turn=last_turn) | {
        "schema": SCHEMA,
        "user_id": session.user_id,
        "created_at": session.created_at,
        "llm_provider": session.llm_provider,
        "llm_model": session.llm_model,
        "summary": session.summary,
        "summary_until": session.summary_until,
        "is_active": session.is_active,
        "members": _dumped_members(session.members),
        "listed": session.listed,
    }
    return row | json_chunked("settings", session.settings)


def head_changes_to_row(session_id: str, given: Mapping[str, Any], updated_at: datetime) -> Entity:
    """Some fields of a head, to be merged."""
    row: Entity = {"PartitionKey": session_id, "RowKey": HEAD, "updated_at": updated_at}
    row |= {name: value for name, value in given.items() if name not in ("settings", "members", "invited")}
    row |= {"members": _dumped_members(given["members"])} if "members" in given else {}
    row |= {"invited": dumped(offers_to_json(given["invited"])).decode()} if "invited" in given else {}
    return row | (json_chunked("settings", given["settings"]) if "settings" in given else {})


def _dumped_members(members: Mapping[str, MemberRole]) -> str:
    return dumped(cast("JSONObject", dict(members))).decode()


def head_from_row(row: Stored, etag: str) -> Session:
    return Session(
        id=row["PartitionKey"],
        user_id=row["user_id"],
        title=row["title"],
        created_at=moment(row["created_at"]),
        updated_at=moment(row["updated_at"]),
        llm_provider=row["llm_provider"],
        llm_model=row["llm_model"],
        settings=json_object(row, "settings"),
        summary=row["summary"],
        summary_until=row.get("summary_until", 0),
        is_active=row["is_active"],
        listed=row.get("listed", True),
        message_count=row["message_count"],
        last_seq=row["last_seq"],
        running_turn=row["running_turn"],
        start_nonce=row["start_nonce"],
        waiting=tuple(map(_waiting_from, orjson.loads(row.get("waiting") or "[]"))),
        asked=tuple(Asked(*each) for each in orjson.loads(row.get("asked") or "[]")),
        members=cast("dict[str, MemberRole]", loaded(row.get("members") or "{}")),
        invited=offers_from_json(cast("JSONObject", loaded(row.get("invited") or "{}"))),
        version=etag,
    )


def message_to_rows(message: Message, marker: str) -> list[Entity]:
    """The message's row, and those in which a long text goes on. `marker` says which write made them."""
    first, *more = _pages_of_text(message.content)
    row: Entity = {
        "PartitionKey": message.session_id,
        "RowKey": message_key(message.seq),
        "marker": marker,
        "parts": len(more),
        "role": message.role,
        "status": message.status,
        "created_at": message.created_at,
        "updated_at": message.updated_at,
        "author": message.author,
        "llm_provider": message.llm_provider,
        "llm_model": message.llm_model,
        "tokens_used": (message.tokens_used, "Edm.Int64"),
        "parent_message_id": message.parent_message_id,
        "thread_id": message.thread_id,
    }
    if message.response_time_ms is not None:
        row["response_time_ms"] = message.response_time_ms
    row |= json_chunked("metadata", message.metadata) | chunked("error_message", message.error_message)
    row |= named("text", first)
    return [row] + [_part_to_row(message, part, each) for part, each in enumerate(more, 1)]


def _pages_of_text(text: str) -> list[list[str]]:
    """The chunks of a text, row by row; one empty row for the empty text."""
    pages: list[list[str]] = [[]]
    room = ROW_BYTES
    for chunk in split_text(text):
        size = text_weight(chunk)
        if len(pages[-1]) == CHUNKS_PER_ROW or size > room:
            pages.append([])
            room = ROW_BYTES
        pages[-1].append(chunk)
        room -= size
    return pages


def _part_to_row(message: Message, part: int, chunks: Sequence[str]) -> Entity:
    keys: Entity = {"PartitionKey": message.session_id, "RowKey": message_key(message.seq, part)}
    return keys | named("text", chunks)


def message_from_rows(rows: Sequence[Stored]) -> Message:
    """A message from its row and those that follow it; more of them than the row knows are not its own."""
    row = rows[0]
    session_id, seq = row["PartitionKey"], seq_of(row["RowKey"])
    return Message(
        id=message_id(session_id, seq),
        session_id=session_id,
        seq=seq,
        role=row["role"],
        content="".join(joined(each, "text") for each in rows[: row["parts"] + 1]),
        created_at=moment(row["created_at"]),
        updated_at=moment(row["updated_at"]),
        status=row["status"],
        author=row["author"],
        llm_provider=row["llm_provider"],
        llm_model=row["llm_model"],
        response_time_ms=row.get("response_time_ms"),
        tokens_used=integer(row["tokens_used"]),
        error_message=joined(row, "error_message"),
        metadata=json_object(row, "metadata"),
        parent_message_id=row["parent_message_id"],
        thread_id=row["thread_id"],
    )


def messages_from_rows(rows: Iterable[Stored]) -> list[Message]:
    """Messages from all rows of a range, in the order of their keys."""
    groups: list[list[Stored]] = []
    for row in rows:
        if groups and seq_of(groups[-1][0]["RowKey"]) == seq_of(row["RowKey"]):
            groups[-1].append(row)
        else:
            groups.append([row])
    return [message_from_rows(group) for group in groups]


def turn_to_row(turn: Turn, seq: int) -> Entity:
    row: Entity = {
        "PartitionKey": turn.session_id,
        "RowKey": turn_key(seq),
        "user_id": turn.user_id,
        "user_message_id": turn.user_message_id,
        "state": turn.state,
        "instance_id": turn.instance_id,
        "started_at": turn.started_at,
        "last_event": turn.last_event,
        "pipeline": turn.request.pipeline,
        "dialect": turn.request.dialect,
        "nonce": turn.nonce,
        "ended_by": turn.ended_by,
    }
    # "wire" is what the column was called before it was two.
    row |= json_chunked("wire", turn.request.input) | json_chunked("attempts", list(turn.attempts))
    if turn.request.on_behalf_of:
        row["on_behalf_of"] = turn.request.on_behalf_of
    if turn.request.client:
        row |= json_chunked("client", turn.request.client)
    if not turn.listed:
        row["listed"] = False
    if turn.ended_at is not None:
        row["ended_at"] = turn.ended_at
    if turn.error is not None:
        row |= {"error_code": turn.error.code, "error_retryable": turn.error.retryable}
        row |= chunked("error_message", turn.error.message)
    return row | usage_to_properties(turn)


def usage_to_properties(turn: Turn) -> Entity:
    """What the turn's row and its row in the usage table say alike."""
    if turn.usage is None:
        return {}
    return {
        "prompt_tokens": (turn.usage.prompt_tokens, "Edm.Int64"),
        "completion_tokens": (turn.usage.completion_tokens, "Edm.Int64"),
        "usage_estimated": turn.usage.estimated,
    }


def turn_from_row(row: Stored, etag: str) -> Turn:
    ended_at = row.get("ended_at")
    return Turn(
        id=message_id(row["PartitionKey"], seq_of(row["RowKey"])),
        session_id=row["PartitionKey"],
        request=TurnRequest(
            row["user_id"],
            on_behalf_of=row.get("on_behalf_of", ""),
            pipeline=row["pipeline"],
            input=json_object(row, "wire"),
            dialect=row["dialect"],
            client=json_object(row, "client"),
        ),
        user_message_id=row["user_message_id"],
        state=row["state"],
        instance_id=row["instance_id"],
        started_at=moment(row["started_at"]),
        listed=row.get("listed", True),
        ended_at=moment(ended_at) if ended_at else None,
        ended_by=row.get("ended_by", ""),
        last_event=row["last_event"],
        error=_error(row),
        usage=_usage(row),
        attempts=tuple(cast(list[JSONObject], loaded(joined(row, "attempts")))),
        nonce=row["nonce"],
        version=etag,
    )


def _error(row: Stored) -> TurnError | None:
    if "error_code" not in row:
        return None
    return TurnError(row["error_code"], joined(row, "error_message"), row["error_retryable"])


def _usage(row: Stored) -> Usage | None:
    if "prompt_tokens" not in row:
        return None
    counts = integer(row["prompt_tokens"]), integer(row["completion_tokens"])
    return Usage(*counts, estimated=row["usage_estimated"])
