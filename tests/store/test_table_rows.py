"""Values to rows and back: what goes in comes out, and every row keeps the limits of the service."""

import json
import string
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.conversation import Asked, Session, Turn, TurnError, WaitingMessage
from chat.errors import StoreRefused
from chat.events import TERMINAL_NUMBER, JSONObject, NumberedEvent, TextDelta, ToolOutput, TurnFinished
from chat.messages import Message, Usage
from chat.requests import TurnRequest
from chat.store.drafts import directory_key, title_from
from chat.store.tables.table_events import events_from_rows, events_to_rows
from chat.store.tables.table_keys import escaped, events_key, events_range, message_key, unescaped, user_key
from chat.store.tables.table_properties import (
    Entity,
    chunked,
    dumped,
    joined,
    loaded,
    moment,
    split_text,
    utf16_units,
    weight,
)
from chat.store.tables.table_rows import (
    head_from_row,
    message_from_rows,
    message_to_rows,
    messages_from_rows,
    new_head_to_row,
    turn_from_row,
    turn_to_row,
)

NOW = datetime(2026, 11, 20, 8, 15, 0, 123456, tzinfo=UTC)
MESSAGE = Message("s-00000001", "s", 1, "user", "Hi", NOW, NOW)
MEBIBYTE = 1024 * 1024


def repeated(part: str, size: int) -> str:
    return (part * (size // len(part) + 1))[:size]


texts = st.text(st.characters(exclude_categories=["Cs"]))
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
# Long texts as a short one many times over: hypothesis makes them quickly, and they still meet every boundary.
long_texts = st.builds(repeated, texts.filter(bool), st.integers(0, 90_000))


def as_stored(entity: Entity) -> Entity:
    """What the service gives back, as far as it differs: 64-bit integers are tuples there too."""
    for value in entity.values():
        assert not isinstance(value, str) or utf16_units(value) <= 32_768
        assert not isinstance(value, bytes) or len(value) <= 64 * 1024
    assert len(entity) <= 252
    assert weight(entity) < MEBIBYTE
    return entity


@given(texts)
def test_any_text_survives_in_a_key(text: str) -> None:
    assert unescaped(escaped(text)) == text


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=255))
def test_the_key_of_any_user_id_is_allowed(user_id: str) -> None:
    key = user_key(user_id)
    assert utf16_units(key) <= 512
    assert not set(key) & set("/\\#?%+")
    assert not any(ord(letter) < 0x20 or 0x7F <= ord(letter) < 0xA0 for letter in key)


@pytest.mark.parametrize("letter", ["/", "\x00", "\ue000", "\ue100", "\U0010ffff"])
def test_the_longest_user_id_fits_into_a_key(letter: str) -> None:
    assert utf16_units(user_key(letter * 255)) <= 512
    assert unescaped(escaped(letter * 255)) == letter * 255


def test_an_ordinary_user_id_is_readable_in_its_key() -> None:
    assert user_key("ann.o'neil@example.com") == "u-ann.o'neil@example.com"


def test_keys_sort_by_number_and_the_parts_of_a_message_follow_it() -> None:
    keys = [message_key(1), message_key(1, 1), message_key(1, 12), message_key(2), message_key(10_000)]
    assert keys == sorted(keys)


def test_the_range_of_events_holds_those_of_its_turn_alone() -> None:
    _, first, beyond = events_range("s", 7, after=41)
    inside = [events_key(7, 42), events_key(7, TERMINAL_NUMBER)]
    outside = [events_key(7, 41), events_key(6, 42), events_key(8, 1), events_key(70, 1)]
    assert all(first <= key < beyond for key in inside)
    assert not any(first <= key < beyond for key in outside)


def test_later_sessions_come_first_in_the_directory() -> None:
    ids = ["01ARZ3NDEKTSV4RRFFQ69G5FAV", "01ARZ3NDEMTSV4RRFFQ69G5FAV", "01BRZ3NDEKTSV4RRFFQ69G5FAV"]
    assert sorted(ids, key=directory_key) == ids[::-1]


@given(long_texts)
def test_chunks_of_a_text_fit_and_make_up_the_text(text: str) -> None:
    chunks = list(split_text(text))
    assert "".join(chunks) == text
    assert all(0 < utf16_units(chunk) <= 32_768 for chunk in chunks)
    assert joined(chunked("text", text), "text") == text


@pytest.mark.parametrize("before", [32_766, 32_767, 32_768])
def test_a_surrogate_pair_is_never_torn(before: int) -> None:
    chunks = list(split_text("a" * before + "🎉" * 20_000))
    assert all(utf16_units(chunk) <= 32_768 for chunk in chunks)
    assert utf16_units(chunks[0]) >= 32_767


@given(json_values)
def test_any_json_survives(value: JSONObject) -> None:
    assert loaded(dumped(value)) == value


@given(st.text())
def test_json_with_half_a_surrogate_pair_survives(text: str) -> None:
    assert loaded(dumped({"a": text})) == {"a": text}


@given(long_texts, st.dictionaries(texts, json_values, max_size=3), texts)
def test_any_message_survives(content: str, metadata: JSONObject, author: str) -> None:
    message = replace(MESSAGE, content=content, metadata=metadata, author=author, tokens_used=2**40)
    rows = [as_stored(row) for row in message_to_rows(message, "marker")]
    assert message_from_rows(rows) == message


@pytest.mark.parametrize("letter", ["a", '"', "é", "語", "🎉", "\x00"])
def test_an_answer_of_two_mebibytes_survives(letter: str) -> None:
    content = letter * (2 * MEBIBYTE // len(letter.encode()))
    rows = [as_stored(row) for row in message_to_rows(replace(MESSAGE, content=content), "")]
    assert message_from_rows(rows).content == content


def test_rows_of_several_messages_are_told_apart() -> None:
    messages = [
        replace(MESSAGE, id=f"s-{seq:08d}", seq=seq, content="x" * size)
        for seq, size in enumerate([10, 2_000_000, 0, 900_000, 5], 1)
    ]
    rows = [row for message in messages for row in message_to_rows(message, "")]
    assert len(rows) > 5
    assert messages_from_rows(rows) == messages


def test_rows_that_a_shorter_message_left_behind_are_not_its_text() -> None:
    longer = message_to_rows(replace(MESSAGE, content="x" * 1_000_000), "")
    [shorter] = message_to_rows(MESSAGE, "")
    assert message_from_rows([shorter, *longer[1:]]) == MESSAGE


@given(texts, st.dictionaries(texts, json_values, max_size=3), st.booleans())
def test_any_head_survives(title: str, settings: JSONObject, is_active: bool) -> None:
    session = Session(
        "s", "ann", title, NOW, NOW, "AZURE", "m", settings, "sum", 2, is_active, 3, 4, "s-00000004"
    )
    waiting = (WaitingMessage(5, TurnRequest("bob", dialect="plan"), 2),)
    session = replace(
        session,
        start_nonce="n",
        version="v",
        waiting=waiting,
        asked=(Asked("k", 5), Asked("", 3, 4)),
        members={"bob": "editor", title: "viewer"},
    )
    assert head_from_row(as_stored(new_head_to_row(session)), "v") == session


def test_messages_that_waited_before_requests_had_rows_keep_what_they_asked_for() -> None:
    row = as_stored(new_head_to_row(Session("s", "ann", "", NOW, NOW)))
    old = {
        "seq": 3,
        "user_id": "bob",
        "dialect": "plan",
        "pipeline": "trip",
        "wire": {"given": {}},
        "settings": {},
    }
    [waits] = head_from_row({**row, "waiting": json.dumps([old])}, "v").waiting
    request = TurnRequest("bob", dialect="plan", pipeline="trip", input={"given": {}})
    assert waits == WaitingMessage(3, request)


@given(st.lists(st.dictionaries(texts, json_values, max_size=2), max_size=3), st.booleans(), texts)
def test_any_turn_survives(attempts: list[JSONObject], ended: bool, text: str) -> None:
    request = TurnRequest("ann", input={"a": text}, client={"b": text}, on_behalf_of=text)
    turn = Turn("s-00000002", "s", request, "s-00000001", "running", "i", NOW, nonce=text)
    if ended:
        error, usage = TurnError("X", text, retryable=True), Usage(2**40, 3, estimated=True)
        turn = replace(
            turn,
            state="failed",
            ended_at=NOW,
            ended_by="x",
            error=error,
            usage=usage,
            attempts=tuple(attempts),
        )
    assert turn_from_row(as_stored(turn_to_row(turn, 2)), "") == turn


@given(st.lists(long_texts.filter(bool), max_size=12))
def test_any_events_survive(pieces: list[str]) -> None:
    events = [NumberedEvent(number, TextDelta("t0", text)) for number, text in enumerate(pieces, 1)]
    events.append(NumberedEvent(TERMINAL_NUMBER, TurnFinished()))
    rows = [as_stored(row) for row in events_to_rows("s", 2, events)]
    assert [row["RowKey"] for row in rows] == sorted(str(row["RowKey"]) for row in rows)
    assert events_from_rows(rows, after=0) == events
    assert events_from_rows(rows, after=len(pieces)) == events[-1:]


def test_small_events_share_rows_that_are_well_filled() -> None:
    events = [NumberedEvent(number, TextDelta("t0", "x" * 100)) for number in range(1, 2_001)]
    rows = events_to_rows("s", 2, events)
    total = sum(
        len(dumped({"n": 1, "type": "TextDelta", "text_id": "t0", "text": "x" * 100})) for _ in events
    )
    assert len(rows) <= total // (50 * 1024) + 1
    assert all(len(row) == 3 for row in rows)


def test_events_that_came_again_in_a_longer_batch_are_read_once() -> None:
    events = [NumberedEvent(number, TextDelta("t0", str(number))) for number in range(1, 8)]
    rows = events_to_rows("s", 2, events[:4]) + events_to_rows("s", 2, events)
    assert events_from_rows(rows, after=0) == events


def test_an_event_that_no_row_can_hold_is_refused() -> None:
    event = NumberedEvent(1, ToolOutput("c", "tool", "x" * MEBIBYTE))
    with pytest.raises(StoreRefused):
        events_to_rows("s", 2, [event])


@given(st.dictionaries(st.text(string.ascii_letters, min_size=1), long_texts, max_size=3))
def test_the_weight_of_a_row_is_not_below_what_is_sent(entity: dict[str, str]) -> None:
    assert weight({**entity}) >= len(json.dumps(entity))


def test_moments_are_plain_and_exact() -> None:
    class Subclass(datetime):
        pass

    read = moment(Subclass(2026, 11, 20, 8, 15, 0, 123456, tzinfo=UTC))
    assert (type(read), read) == (datetime, NOW)


@pytest.mark.parametrize(
    ("content", "title"),
    [
        ("Hello", "Hello"),
        ("\n  First \nSecond", "First"),
        ("", ""),
        ("x" * 80, "x" * 80),
        ("y" * 81, "y" * 79 + "…"),
        ("word " * 40, ("word " * 16)[:79].rstrip() + "…"),
    ],
)
def test_a_title_is_the_first_line_cut_to_eighty(content: str, title: str) -> None:
    assistant = replace(MESSAGE, role="assistant", content="no")
    assert title_from([assistant, replace(MESSAGE, content=content)]) == title
