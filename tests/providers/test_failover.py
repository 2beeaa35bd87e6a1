"""Several services as one: who is asked, how often, after how long, and what is shown."""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.errors import (
    BadProviderReply,
    ContentFiltered,
    ModelNotFound,
    ProviderAuthFailed,
    ProviderError,
    ProviderRateLimited,
    ProviderRejected,
    ProviderSilent,
    ProviderTimeout,
    ProviderUnavailable,
)
from chat.providers.base import (
    AttemptLost,
    ModelChosen,
    ModelDelta,
    ModelMessage,
    ModelRequest,
    ReasoningPiece,
    StopReason,
    TextPiece,
    ToolCallPiece,
    UsageReport,
)
from chat.providers.breaker import Breaker
from chat.providers.failover import Failover
from chat.providers.refusals import REMEMBERED
from chat.providers.retry import RetryPolicy
from chat.providers.scripted import Line, Script, ScriptedProvider
from tests.support.virtual_time import VirtualClock, VirtualLoop, virtual

QUESTION = ModelRequest((ModelMessage("user", "What is it?"),))
NAMES = ("A", "B", "C")


class Services:
    """Scripted services behind one failover. `a=[...]`: what A does at its first, second, ... call; then the last
    again."""

    def __init__(self, *, failures: int = 100, **scripts: Sequence[Script]) -> None:
        clock = VirtualClock().monotonic
        self.each = {
            name.upper(): ScriptedProvider(*calls, name=name.upper(), model=f"model-{name}")
            for name, calls in scripts.items()
        }
        breakers = {name: Breaker(failures=failures, rest=30, clock=clock) for name in self.each}
        policy = RetryPolicy(attempts=3, wait=1.0, longest=10.0, spread=lambda: 0.0)
        self.failover = Failover(self.each, breakers, policy, clock=clock)

    @property
    def asked(self) -> str:
        """How often each was asked: `A3 B1`."""
        return " ".join(f"{name}{len(each.requests)}" for name, each in self.each.items() if each.requests)

    async def ask(
        self, request: ModelRequest | None = None
    ) -> tuple[list[AttemptLost], list[ModelDelta], ProviderError | None]:
        """What was lost, what came, and how it failed: in a turn of its own, unless its request is given."""
        request = request or ModelRequest(QUESTION.messages)
        lost: list[AttemptLost] = []
        came: list[ModelDelta] = []
        try:
            async with aclosing(self.failover.stream(request)) as pieces:
                async for piece in pieces:
                    lost.append(piece) if isinstance(piece, AttemptLost) else came.append(piece)
        except ProviderError as error:
            return lost, came, error
        return lost, came, None


def text_of(came: Sequence[ModelDelta]) -> str:
    return "".join(piece.text for piece in came if isinstance(piece, TextPiece))


def moves(lost: Sequence[AttemptLost]) -> str:
    return " ".join(f"{each.provider}:{each.code}:{each.wait:g}:{each.next_provider}" for each in lost)


DOWN = [ProviderUnavailable()]


@virtual
async def test_a_service_that_answers_is_the_only_one_asked() -> None:
    services = Services(a=[["Hel", "lo", UsageReport(3, 2)]], b=[["no"]])
    lost, came, error = await services.ask()
    assert (lost, error, services.asked) == ([], None, "A1")
    assert came == [
        ModelChosen("model-a", "A"),
        TextPiece("Hel"),
        TextPiece("lo"),
        StopReason("stop"),
        UsageReport(3, 2),
    ]


@virtual
async def test_it_is_asked_three_times_with_growing_waits_and_then_the_next_is() -> None:
    services = Services(a=[DOWN], b=[["yes"]])
    began = asyncio.get_running_loop().time()
    lost, came, _ = await services.ask()
    assert moves(lost) == "A:MODEL_UNAVAILABLE:1: A:MODEL_UNAVAILABLE:2: A:MODEL_UNAVAILABLE:0:B"
    assert (text_of(came), came[0]) == ("yes", ModelChosen("model-b", "B"))
    assert asyncio.get_running_loop().time() - began == pytest.approx(3)


FATES: dict[str, tuple[Line, str, str | None]] = {
    # what A raises: who is asked in all, and the code of the error that is raised in the end
    "unavailable": (ProviderUnavailable(), "A3 B1", None),
    "timeout": (ProviderTimeout(), "A3 B1", None),
    "silence": (ProviderSilent(), "A3 B1", None),
    "bad reply": (BadProviderReply(), "A3 B1", None),
    "limited": (ProviderRateLimited(), "A3 B1", None),
    "limited for a bearable time": (ProviderRateLimited(retry_after=5), "A3 B1", None),
    "limited for too long": (ProviderRateLimited(retry_after=11), "A1 B1", None),
    "wrong key": (ProviderAuthFailed(), "A1 B1", None),
    "no such model": (ModelNotFound(), "A1 B1", None),
    "refused": (ProviderRejected(), "A1", "MODEL_REJECTED"),
    "filtered": (ContentFiltered(), "A1", "CONTENT_FILTERED"),
    "ended by the filter": (StopReason("content_filter"), "A1", "CONTENT_FILTERED"),
    "empty": (StopReason("stop"), "A3 B1", None),
    "nothing because of a limit": (StopReason("length"), "A1", None),
}


@pytest.mark.parametrize("fate", FATES)
@virtual
async def test_what_happens_depends_on_whose_fault_it_is(fate: str) -> None:
    line, asked, code = FATES[fate]
    services = Services(a=[[line]], b=[["yes"]])
    lost, came, error = await services.ask()
    assert (services.asked, error and error.code) == (asked, code)
    assert text_of(came) == ("yes" if "B" in asked else "")
    assert len(lost) == sum(map(len, (each.requests for each in services.each.values()))) - (code is None)


@pytest.mark.parametrize("said", [TextPiece("x"), ReasoningPiece("x"), ToolCallPiece(0, "c", "now")])
@virtual
async def test_once_something_was_said_nobody_else_is_asked(said: ModelDelta) -> None:
    services = Services(a=[[said, ProviderTimeout()]], b=[["no"]])
    lost, came, error = await services.ask()
    assert (lost, came, services.asked) == ([], [ModelChosen("model-a", "A"), said], "A1")
    assert isinstance(error, ProviderTimeout)


@virtual
async def test_a_reply_that_only_began_is_no_answer_and_its_prompt_is_counted() -> None:
    services = Services(a=[[ModelChosen("m-1"), ProviderTimeout()], ["yes"]])
    [lost], came, _ = await services.ask()
    assert (lost.model, lost.prompt_tokens) == ("m-1", QUESTION.estimated_tokens)
    assert came[0] == ModelChosen("model-a", "A")


@virtual
async def test_the_session_s_choice_comes_first_and_its_model_stays_with_it() -> None:
    services = Services(a=[["a"]], b=[DOWN])
    request = ModelRequest(QUESTION.messages, model="big", provider="B")
    await services.ask(request)
    assert services.asked == "A1 B3"
    assert [each.model for each in services.each["B"].requests] == ["big"] * 3
    assert [each.model for each in services.each["A"].requests] == [""]


@virtual
async def test_a_choice_that_is_no_longer_there_is_no_obstacle() -> None:
    services = Services(a=[["a"]])
    _, came, error = await services.ask(ModelRequest(QUESTION.messages, model="big", provider="GONE"))
    assert (text_of(came), error, services.each["A"].requests[0].model) == ("a", None, "")


@virtual
async def test_when_all_fail_the_last_error_is_raised() -> None:
    services = Services(a=[DOWN], b=[[ProviderRateLimited(retry_after=60)]])
    lost, came, error = await services.ask()
    assert (came, [each.provider for each in lost]) == ([], ["A", "A", "A", "B"])
    assert isinstance(error, ProviderRateLimited) and error.retry_after == 60


@virtual
async def test_a_refused_parameter_is_left_out_of_later_requests_too() -> None:
    refusal = [ProviderRejected(parameter="temperature")]
    services = Services(a=[refusal, ["yes"]])
    request = ModelRequest(QUESTION.messages, temperature=0.5)
    lost, came, _ = await services.ask(request)
    assert (moves(lost), text_of(came)) == ("A:MODEL_REJECTED:0:", "yes")
    await services.ask(request)
    sent = [each.extras for each in services.each["A"].requests]
    assert sent == [{}, {"temperature": None}, {"temperature": None}]


@virtual
async def test_what_a_model_refused_is_forgotten_after_a_while() -> None:
    services = Services(a=[[ProviderRejected(parameter="temperature")], ["yes"]])
    await services.ask(ModelRequest(QUESTION.messages, temperature=0.5))
    await asyncio.sleep(REMEMBERED - 1)
    await services.ask()
    await asyncio.sleep(1)
    await services.ask()
    assert [each.extras for each in services.each["A"].requests[2:]] == [{"temperature": None}, {}]


@virtual
async def test_two_requests_that_are_refused_at_once_both_go_on() -> None:
    refusal: list[Line] = [1.0, ProviderRejected(parameter="temperature")]
    services = Services(a=[refusal, refusal, ["yes"]])
    answers = await asyncio.gather(*(services.ask() for _ in range(2)))
    assert [text_of(came) for _, came, _ in answers] == ["yes", "yes"]


@virtual
async def test_a_parameter_that_is_refused_again_is_no_reason_to_go_on() -> None:
    services = Services(a=[[ProviderRejected(parameter="top_p")]])
    _, _, error = await services.ask()
    assert (services.asked, type(error)) == ("A2", ProviderRejected)


@virtual
async def test_the_limit_of_tokens_goes_by_its_second_name_where_the_first_is_refused() -> None:
    services = Services(a=[[ProviderRejected(parameter="max_tokens")], ["yes"]])
    await services.ask(ModelRequest(QUESTION.messages, max_tokens=7))
    assert services.each["A"].requests[1].extras == {"max_tokens": None, "max_completion_tokens": 7}


@virtual
async def test_a_service_that_is_left_alone_is_not_asked_and_then_tried_once() -> None:
    services = Services(failures=1, a=[DOWN, ["back"]], b=[["b"]])
    await services.ask()
    assert (services.asked, services.failover.states["A"]) == ("A1 B1", "open")
    await services.ask()
    assert services.asked == "A1 B2"
    await asyncio.sleep(30)
    assert services.failover.states["A"] == "half_open"
    _, came, _ = await services.ask()
    assert (text_of(came), services.asked, services.failover.states["A"]) == ("back", "A2 B2", "closed")


@virtual
async def test_of_many_requests_one_tries_the_service_that_was_left_alone() -> None:
    gate = asyncio.Event()
    services = Services(failures=1, a=[DOWN, [gate, "back"]], b=[["b"]])
    await services.ask()
    await asyncio.sleep(30)
    asking = [asyncio.create_task(services.ask()) for _ in range(5)]
    await asyncio.sleep(1)
    assert services.asked == "A2 B5"
    gate.set()
    assert sorted(text_of(came) for _, came, _ in await asyncio.gather(*asking)) == ["b"] * 4 + ["back"]


@virtual
async def test_when_all_are_left_alone_the_caller_is_told_when_to_come_back() -> None:
    services = Services(failures=1, a=[DOWN], b=[DOWN])
    await services.ask()
    asked = services.asked
    await asyncio.sleep(10)
    lost, came, error = await services.ask()
    assert (lost, came, services.asked) == ([], [], asked)
    assert isinstance(error, ProviderUnavailable) and error.retry_after == pytest.approx(20)


@virtual
async def test_a_turn_says_once_that_a_service_is_down_however_often_it_asks() -> None:
    services = Services(failures=3, a=[DOWN], b=[["b"]])
    for _ in range(2):
        turn = ModelRequest(QUESTION.messages)
        await services.ask(turn)
        await services.ask(replace(turn, tools=()))  # the next step of the same turn
    assert (services.asked, services.failover.states["A"]) == ("A12 B4", "closed")
    await services.ask(ModelRequest(QUESTION.messages))
    assert services.failover.states["A"] == "open"


@virtual
async def test_a_turn_that_tries_a_service_which_rested_counts_again() -> None:
    services = Services(failures=1, a=[DOWN], b=[["b"]])
    turn = ModelRequest(QUESTION.messages)
    await services.ask(turn)
    await asyncio.sleep(30)
    await services.ask(turn)
    assert (services.asked, services.failover.states["A"]) == ("A2 B2", "open")


COUNTS: list[tuple[Line, str]] = [
    (ProviderUnavailable(), "open"),
    (ProviderAuthFailed(), "open"),
    (ProviderSilent(), "open"),
    (ProviderTimeout(), "closed"),  # a slow first word
    (BadProviderReply(), "closed"),
    (StopReason("stop"), "closed"),  # an empty answer
    (ProviderRejected(), "closed"),
    (ModelNotFound(), "closed"),
    (ContentFiltered(), "closed"),
    (ProviderRateLimited(), "closed"),
]


@pytest.mark.parametrize(("line", "state"), COUNTS)
@virtual
async def test_only_what_says_that_a_service_is_down_counts_against_it(line: Line, state: str) -> None:
    services = Services(failures=1, a=[[line]])
    await services.ask()
    assert services.failover.states["A"] == state


@virtual
async def test_closing_it_closes_the_service_s_stream_and_gives_a_trial_back() -> None:
    services = Services(failures=1, a=[DOWN, ["x", asyncio.Event()], ["y"]])
    await services.ask()
    await asyncio.sleep(30)
    pieces = services.failover.stream(QUESTION)
    assert await anext(pieces) == ModelChosen("model-a", "A")
    await pieces.aclose()
    assert services.each["A"].open_streams == 0
    assert text_of((await services.ask())[1]) == "y"


@virtual
async def test_a_trial_that_is_cancelled_before_its_first_word_gives_its_place_back() -> None:
    services = Services(failures=1, a=[DOWN, [asyncio.Event()], ["y"]])
    await services.ask()
    await asyncio.sleep(30)
    trial = asyncio.create_task(services.ask())
    await asyncio.sleep(1)
    trial.cancel()
    await asyncio.wait([trial])
    assert text_of((await services.ask())[1]) == "y"


ERRORS = [
    ProviderUnavailable(), ProviderTimeout(), BadProviderReply(), ProviderRateLimited(), ProviderAuthFailed(),
    ProviderRateLimited(retry_after=99), ModelNotFound(), ProviderRejected(), ContentFiltered(),
]  # fmt: skip
CALLS = st.one_of(
    st.sampled_from(ERRORS).map(lambda error: [error]),
    st.sampled_from(ERRORS).map(lambda error: ["part", error]),
    st.just(["w1 ", "w2 "]),
    st.just([]),
)


@given(st.lists(st.lists(CALLS, min_size=1, max_size=4), min_size=3, max_size=3))
def test_whatever_fails_there_is_one_ending_and_no_text_twice(scripts: list[list[list[Line]]]) -> None:
    async def check() -> None:
        services = Services(**dict(zip("abc", scripts, strict=True)))
        lost, came, error = await services.ask()
        assert text_of(came) in ("", "part", "w1 w2 ")
        assert (error is None) == (text_of(came) == "w1 w2 ")
        chosen = [piece for piece in came if isinstance(piece, ModelChosen)]
        calls = sum(len(each.requests) for each in services.each.values())
        assert len(chosen) == bool(came) and calls == len(lost) + len(chosen)
        for before, after in pairwise(lost):
            assert after.provider == (before.next_provider or before.provider)
        assert all(each.open_streams == 0 for each in services.each.values())

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(check())
