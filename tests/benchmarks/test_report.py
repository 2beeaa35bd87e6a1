"""Percentiles, verdicts and tables of the benchmarks."""

import math
import os

import pytest

from benchmarks.measure import cpu_seconds, percentile, resident_kb
from benchmarks.report import Metric, figures_table, goal_rows, ratio_table, slowness, verdict
from benchmarks.scenarios import beyond_model, growth
from benchmarks.servers import MODEL, ROW, WORKER

LIMITED = Metric("m", "metric", limit=25, goal=15)


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [([5], 50, 5), ([1, 2, 3, 4], 50, 2), ([4, 1, 3, 2], 99, 4), (range(1, 101), 99, 99), ([1, 2], 0, 1)],
)
def test_percentiles_are_nearest_ranks(values: list[float], percent: float, expected: float) -> None:
    assert percentile(values, percent) == expected


def test_nothing_has_no_percentile() -> None:
    assert math.isnan(percentile([], 50))


def test_a_process_has_cpu_time_and_memory() -> None:
    assert cpu_seconds(os.getpid()) > 0
    assert resident_kb(os.getpid()) > 1000


@pytest.mark.parametrize(
    ("value", "outcome"), [(24.9, "pass"), (25, "pass"), (25.1, "FAIL"), (None, "skipped")]
)
def test_a_limit_passes_fails_or_is_skipped(value: float | None, outcome: str) -> None:
    assert verdict(LIMITED, value)[-1] == outcome


def test_limits_in_time_grow_with_the_slowness_of_the_machine_and_others_do_not() -> None:
    figures = {MODEL: {"burst_us": 5.6}, WORKER: {"burst_us": 49.0, "stream_kb": 151.0}}
    outcomes = {row[0]: row[-1] for row in goal_rows(figures, {"Parley": 1.5}, {})}
    assert outcomes["burst: CPU us a delta"] == outcomes["start-up: CPU s"] == "pass"
    assert outcomes["paced: KB a stream"] == "FAIL"
    figures[MODEL] = {"burst_us": 1.4}
    assert slowness(figures) == slowness({}) == 1.0


def test_the_reason_of_a_skip_stands_in_the_table_of_goals() -> None:
    rows = goal_rows({}, {}, {"Parley": "it is away"})
    assert {(row[1], row[-1]) for row in rows} == {("it is away", "skipped")}


def test_the_goals_are_those_of_the_worker() -> None:
    rows = goal_rows({WORKER: {"burst_us": 30.0, "paced_us": 100.0}}, {"Parley": 0.5}, {})
    outcomes = {row[0]: row[-1] for row in rows}
    assert outcomes["burst: CPU us a delta"] == "FAIL"
    assert outcomes["paced: CPU us a delta"] == "pass"
    assert outcomes["start-up: CPU s"] == "pass"
    assert outcomes["paced: KB a stream"] == "skipped"


def test_ratios_are_in_units_of_the_peer() -> None:
    lines = ratio_table(
        {"nginx": {"burst_us": 2.0}, "ours": {"burst_us": 7.0}}, ("nginx", "absent")
    ).splitlines()
    assert [cell.strip() for cell in lines[2].split("|")[2:4]] == ["1.00", "3.50"]
    assert len(lines) == 3


def test_a_figure_that_is_missing_is_a_dash() -> None:
    assert "| 2.0 | - " in figures_table({"a": {"burst_us": 2.0}, "b": {}}).splitlines()[2]


def test_the_first_byte_is_counted_beyond_the_models_own() -> None:
    figures = {"model": {"first_p50_ms": 200.0}, "ours": {"first_p50_ms": 207.0, "first_p99_ms": 210.0}}
    beyond_model(figures, "model")
    assert figures["ours"] == {"first_p50_ms": 7.0, "first_p99_ms": 10.0}


def test_growth_leaves_out_the_first_quarter() -> None:
    assert growth([(0, 0), (100, 5000), (200, 5010), (300, 5020), (400, 5030)]) == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("line", "groups"),
    [
        ("functions  http://127.0.0.1:7071  pid 12", ("functions", "http://127.0.0.1:7071", "12")),
        ("worker http://127.0.0.1:9000", ("worker", "http://127.0.0.1:9000", None)),
    ],
)
def test_the_local_stacks_table_is_read(line: str, groups: tuple[str | None, ...]) -> None:
    found = ROW.match(line)
    assert found is not None and found.groups() == groups
