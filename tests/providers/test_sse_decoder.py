"""Server-sent events: every case whole, byte by byte, and cut at random places."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.errors import BadProviderReply
from chat.providers.sse_decoder import SseDecoder

CASES: dict[str, tuple[bytes, list[bytes]]] = {
    "one event": (b"data: one\n\n", [b"one"]),
    "two events": (b"data: one\n\ndata: two\n\n", [b"one", b"two"]),
    "no space after the colon": (b"data:one\n\n", [b"one"]),
    "only one space is dropped": (b"data:  one \n\n", [b" one "]),
    "CR LF": (b"data: one\r\n\r\ndata: two\r\n\r\n", [b"one", b"two"]),
    "CR": (b"data: one\r\rdata: two\r\r", [b"one", b"two"]),
    "mixed line ends": (b"data: one\r\n\ndata: two\n\rdata: three\r\r\n", [b"one", b"two", b"three"]),
    "more blank lines than needed": (b"\n\ndata: one\n\n\n\ndata: two\n\n\n", [b"one", b"two"]),
    "several lines": (b"data: one\ndata: two\ndata:three\n\n", [b"one\ntwo\nthree"]),
    "lines between other fields": (b"data: one\nid: 1\ndata: two\n\n", [b"one\ntwo"]),
    "empty data": (b"data:\n\ndata: \n\ndata\n\ndata:\ndata:\n\n", [b"", b"", b"", b"\n"]),
    "comments": (b": ping\n\n:\n\n:data: no\ndata: one\n: pong\n\n", [b"one"]),
    "other fields": (b"event: delta\nid: 7\nretry: 10\ndata: one\n\nevent: end\n\n", [b"one"]),
    "unknown fields": (b"datum: no\nDATA: no\n data: no\ndataset\ndata: one\n\n", [b"one"]),
    "a colon in the data": (b"data: a: b\n\ndata::\n\n", [b"a: b", b":"]),
    "a byte order mark": (b"\xef\xbb\xbfdata: one\n\n", [b"one"]),
    "a byte order mark later on": (b"data: one\n\n\xef\xbb\xbfdata: two\n\n", [b"one"]),
    "two byte order marks": (b"\xef\xbb\xbf\xef\xbb\xbfdata: one\n\n", []),
    "no blank line at the end": (b"data: one\n\ndata: [DONE]\n", [b"one", b"[DONE]"]),
    "no line end at the end": (b"data: one\n\ndata: [DONE]", [b"one", b"[DONE]"]),
    "a CR at the end": (b"data: one\r", [b"one"]),
    "separators that are not ours": (
        "data: a\u2028b\u2029c\u0085d\x0b\x0c\x1c\n\n".encode(),
        ["a\u2028b\u2029c\u0085d\x0b\x0c\x1c".encode()],
    ),
    "characters of several bytes": ("data: Zürich 東京 🚀\n\n".encode(), ["Zürich 東京 🚀".encode()]),
    "not UTF-8": (b"data: \xff\xfe\n\n", [b"\xff\xfe"]),
    "nothing": (b"", []),
    "half a byte order mark": (b"\xef\xbb", []),
    "only a comment": (b": ping", []),
}


def decode(pieces: list[bytes]) -> list[bytes]:
    decoder = SseDecoder()
    events = [event for piece in pieces for event in decoder.decode(piece)]
    return events + decoder.flush()


@pytest.mark.parametrize("name", CASES)
def test_every_case_whole(name: str):
    stream, events = CASES[name]
    assert decode([stream]) == events


@pytest.mark.parametrize("name", CASES)
def test_every_case_byte_by_byte(name: str):
    stream, events = CASES[name]
    assert decode([stream[at : at + 1] for at in range(len(stream))]) == events


@pytest.mark.parametrize("name", CASES)
def test_every_case_cut_in_two_at_every_place(name: str):
    stream, events = CASES[name]
    for at in range(len(stream) + 1):
        assert decode([stream[:at], b"", stream[at:]]) == events


@given(
    st.lists(st.sampled_from([stream for stream, _ in CASES.values()]), max_size=4).map(b"".join),
    st.lists(st.integers(0, 200), max_size=8),
)
def test_where_the_stream_is_cut_makes_no_difference(stream: bytes, places: list[int]):
    edges = [0, *sorted(min(place, len(stream)) for place in places), len(stream)]
    pieces = [stream[start:end] for start, end in pairwise(edges)]
    assert decode(pieces) == decode([stream])


@given(
    st.lists(
        st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\r\n"), min_size=1), max_size=6
    )
)
def test_what_was_written_is_read(texts: list[str]):
    stream = "".join(f"data: {text}\n\n" for text in texts).encode()
    assert decode([stream]) == [text.encode() for text in texts]


def test_an_event_is_delivered_with_the_read_that_completes_it():
    decoder = SseDecoder()
    assert decoder.decode(b"data: one\n\nda") == [b"one"]
    assert decoder.decode(b"ta: two\n") == []
    assert decoder.decode(b"\n") == [b"two"]


def test_a_carriage_return_ends_a_line_before_the_next_read():
    decoder = SseDecoder()
    assert decoder.decode(b"data: one\r\n\r") == [b"one"]
    assert decoder.decode(b"\ndata: two\n\n") == [b"two"]


def test_flush_delivers_once():
    decoder = SseDecoder()
    decoder.decode(b"data: one")
    assert decoder.flush() == [b"one"]
    assert decoder.flush() == []


@pytest.mark.parametrize("piece", [b"data: aaaa", b"data: aaa\n", b"data:\n", b"x"])
def test_an_event_without_an_end_is_an_error(piece: bytes):
    decoder = SseDecoder(max_event_bytes=1000)
    with pytest.raises(BadProviderReply, match="1000 bytes"):
        for _ in range(1001):
            decoder.decode(piece)


@pytest.mark.parametrize("piece", [b": ping\n\n", b"data: a\n\nda", b": a\n: b", b"\n", b"data: a\n\n"])
def test_a_long_stream_of_small_events_is_no_error(piece: bytes):
    decoder = SseDecoder(max_event_bytes=100)
    for _ in range(1000):
        decoder.decode(piece)
        decoder.decode(b"")
