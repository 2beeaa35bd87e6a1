"""The benchmark of sockets measures what it says, on a small crowd."""

from benchmarks.sockets import METRICS, Crowd, busiest, socket_goals, socket_table, sockets


def sends(*times: float, name: str = "g", target: str = "group") -> list[dict[str, object]]:
    return [{"at": at, "name": name, "target": target} for at in times]


def test_the_busiest_second_of_any_group_counts() -> None:
    assert busiest([]) == 0
    assert busiest(sends(0.0, 0.5, 0.99, 1.0, 1.4)) == 4
    assert (
        busiest([*sends(0.0, 0.1), *sends(0.0, 0.1, 0.2, name="h"), *sends(0, 0, 0, 0, 0, target="user")])
        == 3
    )


def test_a_small_crowd_is_measured_whole() -> None:
    figures = sockets(Crowd(relays=4, relay_seconds=0.5, idle=10, active=3, deltas=20, rate=50))
    assert {each.key for each in METRICS} == figures.keys()
    assert figures["lost"] == 0
    assert 0 < figures["relay_p50_ms"] < 1000
    assert figures["frames_a_second"] > 3
    assert 0 < figures["asked_p50_ms"] < figures["first_p50_ms"]
    assert 0 < figures["app_p50_ms"] < figures["late_p99_ms"]
    assert all(
        row[-1] == "pass" for row in socket_goals(figures, slower=1.0) if "ms" not in row[0]
    )  # others work here too
    assert "100 active" in socket_table(figures)
