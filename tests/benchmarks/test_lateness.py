"""The way of a word is split at the moments that can be seen from outside, and nothing of it is counted twice."""

import time

import pytest

from benchmarks.lateness import WINDOW, Frame, Way, shares, ways


def sends(*moments: float, name: str = "g", target: str = "group") -> list[dict[str, object]]:
    """As the stand-in lists them: by the clock on the wall."""
    ahead = time.time() - time.monotonic()
    return [{"at": each + ahead, "name": name, "target": target} for each in moments]


def close(found: Way, window: float, app: float, service: float) -> bool:
    return (found.window, found.app, found.service) == pytest.approx((window, app, service), abs=1e-3)


@pytest.mark.parametrize(
    ("written", "before", "sent", "window", "app"),
    [
        (10.0, 5.0, 10.002, 0.0, 0.002),  # long after the frame before
        (10.0, 9.99, 10.037, 0.035, 0.002),  # it waits until that is a window old
        (10.0, 9.99, 10.02, 0.02, 0.0),  # it does not wait so long
        (10.0, 10.3, 10.4, WINDOW, 0.4 - WINDOW),  # the frame before was late itself
    ],
)
def test_a_delta_waits_for_the_window_then_for_the_app_then_for_the_service(
    written: float, before: float, sent: float, window: float, app: float
) -> None:
    frames = [Frame("g", before + 0.001), Frame("g", sent + 0.003, (written,))]
    [found] = ways(frames, sends(before, sent))
    assert close(found, window, app, 0.003)


def test_each_group_has_its_own_frames_and_every_delta_in_one_counts() -> None:
    frames = [Frame("g", 1.0, (0.9, 0.95)), Frame("h", 1.5, (1.4,)), Frame("g", 2.0)]
    told = [
        *sends(0.99, 1.99),
        *sends(1.45, name="h"),
        *sends(1.0, 1.1, target="connection"),
        *sends(3.0, name="x"),
    ]
    found = list(ways(frames, told))
    assert [round(each.service, 2) for each in found] == [0.01, 0.01, 0.05]
    assert shares(found)["service_p99_ms"] == pytest.approx(50, abs=1)


@pytest.mark.parametrize("told", [[], [1.0], [1.0, 2.0, 3.0]])
def test_what_cannot_be_told_apart_is_not_measured(told: list[float]) -> None:
    with pytest.raises(ValueError, match="zip"):
        list(ways([Frame("g", 1.0), Frame("g", 2.0)], sends(*told)))
