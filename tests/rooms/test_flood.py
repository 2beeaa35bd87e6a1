"""Too many events of one socket."""

from chat.rooms.flood import BURST, ENDURED, KEPT, RATE, FloodGuard


def test_a_socket_has_a_burst_and_a_rate_of_its_own() -> None:
    now = [0.0]
    guard = FloodGuard(lambda: now[0])
    left = [guard.take("a") for _ in range(int(BURST))]
    assert left[-1] == 0
    assert guard.take("a") < 0
    assert guard.take("b") > 0
    now[0] += 1
    assert guard.take("a") >= RATE - 3


def test_who_goes_on_falls_further_and_who_waits_recovers() -> None:
    now = [0.0]
    guard = FloodGuard(lambda: now[0])
    left = [guard.take("a") for _ in range(int(BURST + ENDURED) + 1)]
    assert left[-1] < -ENDURED
    now[0] += 60
    assert guard.take("a") == BURST - 1


def test_only_so_many_sockets_are_remembered() -> None:
    guard = FloodGuard(lambda: 0.0)
    guard.take("first")
    for number in range(KEPT):
        guard.take(str(number))
    assert guard.take("first") == BURST - 1
