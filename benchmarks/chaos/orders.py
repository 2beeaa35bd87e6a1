"""What users ask the model stand-in for, and how a turn ends that goes as it was asked."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from local.model_server import expected_text

GAP = 15  # seconds of silence after which the app gives a model up: longer than a service is ever frozen


@dataclass(frozen=True, slots=True)
class Order:
    """Directives, and the end that they lead to. Of `said` a beginning will do where it is not `exact`; `code` ""
    is any code."""

    text: str
    end: str  # finished or failed
    said: str
    code: str = ""
    exact: bool = True


def plain(dice: random.Random) -> Order:
    chunks, rate = dice.randint(5, 120), dice.choice((20, 40, 50, 100))
    more = dice.choice(("", "", " #first=300", " #first=1500", " #comments", " #crlf", " #reasoning=3"))
    return Order(f"#chunks={chunks} #rate={rate}{more}", "finished", expected_text(chunks))


def burst(dice: random.Random) -> Order:
    chunks = dice.randint(100, 400)
    return Order(f"#chunks={chunks}", "finished", expected_text(chunks))


def long(dice: random.Random) -> Order:
    """To be stopped, mostly."""
    chunks = dice.randint(300, 500)
    return Order(f"#chunks={chunks} #rate=40", "finished", expected_text(chunks))


def tool(dice: random.Random) -> Order:
    call = dice.choice(
        ("current_time", 'query_data{"sql":"SELECT 41 + 1"}', 'nope{"a":1}', 'current_time{"bad":true}')
    )
    chunks = dice.randint(5, 40)
    rounds = dice.choice(("", " #rounds=2"))
    return Order(f"#tool={call}{rounds} #chunks={chunks} #rate=50", "finished", expected_text(chunks))


def status(dice: random.Random) -> Order:
    number, code = dice.choice(STATUSES)
    return Order(f"#status={number}", "failed", "", code)


STATUSES = (
    (429, "MODEL_RATE_LIMITED"),
    (500, "MODEL_UNAVAILABLE"),
    (503, "MODEL_UNAVAILABLE"),
    (400, "MODEL_REJECTED"),
    (404, "MODEL_NOT_FOUND"),
)


def cut(dice: random.Random) -> Order:
    """A connection that is reset takes with it what was not read yet."""
    words = dice.randint(1, 20)
    text = f"#chunks=60 #rate=50 #cut={words}"
    return Order(text, "failed", expected_text(words), "MODEL_BAD_REPLY", exact=False)


def stall(dice: random.Random) -> Order:
    words = dice.randint(1, 20)
    return Order(f"#chunks=60 #stall={words}", "failed", expected_text(words), "MODEL_TIMEOUT")


def broken(dice: random.Random) -> Order:
    """An error frame in the middle, or the content filter."""
    words = dice.randint(1, 20)
    return dice.choice(
        (
            Order(f"#chunks=60 #rate=50 #error_after={words}", "failed", expected_text(words)),
            Order("#filter", "failed", "", "CONTENT_FILTERED"),
        )
    )


MIX: tuple[tuple[Callable[[random.Random], Order], int], ...] = (
    (plain, 50),
    (burst, 8),
    (tool, 12),
    (status, 9),
    (cut, 6),
    (stall, 3),
    (broken, 5),
    (long, 7),
)


def some_order(dice: random.Random) -> Order:
    """One of the mix."""
    kinds, weights = zip(*MIX, strict=True)
    return dice.choices(kinds, weights)[0](dice)
