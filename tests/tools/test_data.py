"""SQL over a folder: what it finds, what is refused, and that nothing changes."""

import asyncio
import json
import os
import subprocess
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest

from chat.calls import ToolCall
from chat.tools.base import Caller, ToolResult
from chat.tools.data import SAMPLE, DataTools, find_tables, outline
from chat.tools.data_process import WORKER, DataLimits
from chat.tools.fair import BUSY
from chat.tools.registry import ToolRegistry
from scripts.make_sample_data import write
from tests.support.processes import ROOT

LIMITS = DataLimits(seconds=8)


class Data:
    """The tools over a folder, as the engine calls them."""

    def __init__(self, folder: Path, limits: DataLimits = LIMITS) -> None:
        self.tools = DataTools(folder, limits)
        self.box = ToolRegistry(self.tools.tools, time_limit=30, max_output=100_000)

    async def query(self, sql: str, user_id: str = "") -> ToolResult:
        return await self.box.run(ToolCall("c", "query_data", json.dumps({"sql": sql})), Caller(user_id))

    async def rows(self, sql: str) -> Any:
        result = await self.query(sql)
        assert not result.is_error, result.output
        return json.loads(result.output)["rows"]

    async def describe(self) -> Any:
        return json.loads((await self.box.run(ToolCall("c", "describe_data", ""))).output)


@pytest.fixture
async def data() -> AsyncGenerator[Data]:
    found = Data(SAMPLE)
    yield found
    await found.tools.aclose()


def folder_with(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / f"{name}.csv").write_text(text, encoding="utf-8")
    return folder


def test_the_script_reproduces_the_sample_data(tmp_path: Path) -> None:
    write(tmp_path)
    names = {file.name for file in SAMPLE.glob("*.csv")}
    assert {file.name for file in tmp_path.iterdir()} == names
    for name in names:
        assert (tmp_path / name).read_bytes() == (SAMPLE / name).read_bytes()


def test_the_sample_is_a_few_thousand_rows() -> None:
    lines = sum(len(file.read_text().splitlines()) - 1 for file in find_tables(SAMPLE).values())
    assert 2000 < lines < 6000


async def test_a_total_is_what_duckdb_finds_in_the_file(data: Data) -> None:
    [[expected]] = duckdb.sql(f"SELECT SUM(revenue) FROM '{SAMPLE / 'orders.csv'}'").fetchall()
    [[found]] = await data.rows("SELECT SUM(revenue) AS total FROM orders")
    assert found == round(expected, 2)


async def test_the_columns_are_named(data: Data) -> None:
    result = await data.query("SELECT plant, COUNT(*) AS n FROM orders GROUP BY ALL ORDER BY ALL LIMIT 1")
    assert json.loads(result.output)["columns"] == ["plant", "n"]


VALUES = [
    ("1.50::DECIMAL(9,2)", 1.5),
    ("0.1 + 0.2", 0.3),
    ("DATE '2026-01-02'", "2026-01-02"),
    ("TIMESTAMP '2026-01-02 03:04:05'", "2026-01-02T03:04:05"),
    ("(TIMESTAMPTZ '2026-01-02 03:04:05+00') AT TIME ZONE 'UTC'", "2026-01-02T03:04:05"),
    ("TIME '03:04:05'", "03:04:05"),
    ("INTERVAL 1 DAY", "1 day, 0:00:00"),
    ("'NaN'::DOUBLE", "nan"),
    ("NULL", None),
    ("TRUE", True),
    ("[1, 2]", [1, 2]),
    ("{'a': [DATE '2026-01-02']}", {"a": ["2026-01-02"]}),
    ("MAP {1: 2.5}", {"1": 2.5}),
    ("'ab'::BLOB", "6162"),
    ("2::HUGEINT ** 100", 1.26765060023e30),
    ("170141183460469231731687303715884105727::HUGEINT", 170141183460469231731687303715884105727),
    ("'ü\n\"'", 'ü\n"'),
    ("uuid '00000000-0000-0000-0000-000000000001'", "00000000-0000-0000-0000-000000000001"),
]


async def test_every_kind_of_value_is_json(data: Data) -> None:
    for sql, expected in VALUES:
        assert await data.rows(f"SELECT {sql}") == [[expected]], sql


async def test_a_moment_with_a_zone_is_a_text(data: Data) -> None:
    [[one, moment, two]] = await data.rows("SELECT 1 AS a, TIMESTAMPTZ '2026-01-02 03:04:05+00', 2 AS a")
    assert (one, two, moment[:8]) == (1, 2, "2026-01-")
    assert not (await data.query("SELECT now()")).is_error


async def test_a_table_of_odd_values_is_described(tmp_path: Path) -> None:
    columns = "TIMESTAMPTZ '2026-01-02 03:04:05+00' AS t, [TIMESTAMPTZ '2026-01-02 03:04:05+00'] AS ts"
    duckdb.sql(f"COPY (SELECT {columns}) TO '{tmp_path / 'odd.parquet'}'")
    data = Data(tmp_path)
    [odd] = await data.describe()
    assert list(odd["columns"].values()) == ["TIMESTAMP WITH TIME ZONE", "TIMESTAMP WITH TIME ZONE[]"]
    assert (await data.query("SELECT ts FROM odd")).is_error
    assert not (await data.query("SELECT t FROM odd")).is_error
    await data.tools.aclose()


ALLOWED = [
    "SELECT 1",
    "select 1;",
    "  /* a */ SELECT 1 -- b",
    "(SELECT 1)",
    "VALUES (1), (2)",
    "FROM plants",
    "WITH x AS (SELECT 1 AS a) SELECT a FROM x",
    "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 9) SELECT MAX(n) FROM r",
    "SELECT plant FROM plants UNION SELECT plant FROM orders",
    "SELECT *, ROW_NUMBER() OVER (ORDER BY capacity) FROM plants",
    "SELECT strftime(day, '%Y-%m') AS month, SUM(revenue) FROM orders GROUP BY 1 ORDER BY 1",
    "SELECT ';' AS semicolon, '--' AS dashes",
    "DESCRIBE orders",
]


async def test_reading_is_allowed(data: Data) -> None:
    for sql in ALLOWED:
        result = await data.query(sql)
        assert not result.is_error, (sql, result.output)


REFUSED = [
    # not one statement, or none that selects
    "",
    ";",
    "-- nothing",
    "SELECT",
    "SELECT 1; SELECT 2",
    "SELECT 1; DROP TABLE orders",
    "SELECT 1 /* ; */; DELETE FROM orders -- x",
    "CREATE TABLE x (a INT)",
    "CREATE TEMP TABLE x AS SELECT 1",
    "CREATE VIEW x AS SELECT 1",
    "CREATE MACRO x() AS 1",
    "CREATE SECRET (TYPE s3, KEY_ID 'a', SECRET 'b')",
    "INSERT INTO plants SELECT * FROM plants",
    "UPDATE orders SET revenue = 0",
    "DELETE FROM orders",
    "TRUNCATE orders",
    "DROP TABLE orders",
    "ALTER TABLE orders ADD COLUMN x INT",
    "COMMENT ON TABLE orders IS 'x'",
    "MERGE INTO plants USING plants AS p ON TRUE WHEN MATCHED THEN DELETE",
    "WITH x AS (DELETE FROM orders RETURNING *) SELECT * FROM x",
    "WITH x AS (INSERT INTO plants SELECT * FROM plants RETURNING *) SELECT COUNT(*) FROM x",
    "WITH x AS (UPDATE orders SET revenue = 0 RETURNING *) SELECT * FROM x",
    "BEGIN",
    "COMMIT",
    "CHECKPOINT",
    "VACUUM",
    "PREPARE p AS SELECT 1",
    "EXECUTE p",
    "EXPLAIN ANALYZE SELECT 1",
    "PIVOT orders ON region USING SUM(revenue)",
    # settings
    "SET enable_external_access = true",
    "RESET lock_configuration",
    "PRAGMA enable_external_access",
    "PRAGMA database_list",
    "CALL pragma_version()",
    "CALL enable_logging()",
    "USE temp",
    "SELECT * FROM enable_logging()",
    # files and networks
    "COPY orders TO 'out.csv'",
    "COPY (SELECT 1) TO '/dev/stdout'",
    "COPY orders FROM '/etc/passwd'",
    "EXPORT DATABASE 'out'",
    "IMPORT DATABASE 'out'",
    "ATTACH 'x.db'",
    "ATTACH '/etc/passwd' AS p",
    "DETACH memory",
    "INSTALL httpfs",
    "LOAD httpfs",
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM read_csv_auto('/etc/passwd')",
    "SELECT * FROM '/etc/passwd'",
    "FROM '/etc/hosts'",
    "SELECT * FROM 'orders.csv'",
    "SELECT content FROM read_text('/etc/passwd')",
    "SELECT content FROM read_text(['/etc/passwd'])",
    "SELECT * FROM read_blob('/proc/self/environ')",
    "SELECT * FROM read_json('/etc/passwd')",
    "SELECT * FROM read_parquet('/x')",
    "SELECT * FROM glob('/etc/*')",
    "SELECT * FROM glob('.tmp/*')",
    "SELECT * FROM sniff_csv('/etc/passwd')",
    "SELECT * FROM read_csv('http://127.0.0.1:1/x.csv')",
    "SELECT * FROM 's3://bucket/x.parquet'",
    "SELECT * FROM sqlite_scan('x', 'y')",
    "SELECT * FROM duckdb_secrets()",
    "SELECT * FROM (SELECT * FROM read_text('/etc/passwd'))",
    "WITH x AS (FROM read_text('/etc/passwd')) SELECT * FROM x",
    "SELECT * FROM query('SELECT * FROM read_text(''/etc/passwd'')')",
    "SELECT * FROM query('DELETE FROM orders')",
    "SELECT getenv('PATH')",
    # what only waits, or hides what it does in a text
    "SELECT sleep_ms(1)",
    "SELECT SLEEP_MS(1)",
    'SELECT "sleep_ms"(1)',
    "SELECT system.main.sleep_ms(1)",
    "SELECT (1).sleep_ms()",
    "SELECT pg_sleep(0.001)",
    "SELECT pg_catalog.pg_sleep(0.001)",
    "SELECT list_transform([1], lambda x: sleep_ms(x))",
    "SELECT * FROM plants WHERE capacity IN (SELECT 1 ORDER BY sleep_ms(1))",
    "SELECT COUNT(*) FILTER (WHERE sleep_ms(1) IS NULL) OVER (ORDER BY sleep_ms(1)) FROM plants",
    "WITH x AS (SELECT sleep_ms(1)) SELECT * FROM x",
    "SELECT 1 LIMIT (SELECT 1 + COUNT(sleep_ms(1)))",
    "SUMMARIZE SELECT sleep_ms(1)",
    "SELECT * FROM query('SELECT pg_' || 'sleep(0.001)')",
    "SELECT * FROM json_execute_serialized_sql(json_serialize_sql('SELECT sleep_ms(1)'))",
    # what is in the process that runs it
    "SELECT * FROM sys",
    "SELECT * FROM connection",
    # more than a result may be
    "SELECT * FROM orders",
    "SELECT * FROM range(1000000000)",
    "SELECT repeat('x', 20000)",
    "SELECT repeat('x', 1000000000)",
    "SELECT length(repeat('x', 1000000000))",
    "SELECT unnest(range(1000000000))",
    "SELECT list(range) FROM range(100000000)",
    "SELECT string_agg(repeat('x', 100000), '') FROM range(100000)",
]


async def test_everything_else_is_refused_and_changes_nothing(data: Data, tmp_path: Path) -> None:
    before = {file: file.read_bytes() for file in SAMPLE.iterdir() if file.is_file()}
    described = await data.describe()
    for sql in REFUSED:
        result = await data.query(sql)
        assert (result.is_error, bool(result.output)) == (True, True), (sql, result.output)
        assert "root:" not in result.output, sql
    assert await data.describe() == described
    assert await data.rows("SELECT COUNT(*) FROM orders") == [[described[0]["rows"]]]
    assert {file: file.read_bytes() for file in SAMPLE.iterdir() if file.is_file()} == before


SLOW = [
    "SELECT COUNT(*) FROM range(1000000000) a, range(1000) b WHERE a.range * b.range % 7 = 3",
    "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r) SELECT COUNT(*) FROM r",
]


@pytest.mark.parametrize("sql", SLOW)
async def test_a_query_that_runs_long_is_stopped_whatever_it_does(sql: str) -> None:
    data = Data(SAMPLE, replace(LIMITS, seconds=0.5))
    await data.describe()
    began = time.monotonic()
    result = await data.query(sql)
    assert (result.output, result.is_error) == ("The query took longer than 0.5 s.", True)
    assert time.monotonic() - began < 3
    assert await data.rows("SELECT 1") == [[1]]
    await data.tools.aclose()


async def test_a_query_that_nobody_waits_for_is_stopped(data: Data) -> None:
    await data.describe()
    running = asyncio.create_task(data.query(SLOW[0]))
    await asyncio.sleep(0.05)
    began = time.monotonic()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert time.monotonic() - began < 2
    assert await data.rows("SELECT 1") == [[1]]


async def test_slow_queries_of_one_user_do_not_hold_up_another(data: Data) -> None:
    await data.describe()
    slow = [asyncio.create_task(data.query(SLOW[0], "ann")) for _ in range(8)]
    await asyncio.sleep(0.1)
    began = time.monotonic()
    assert not (await data.query("SELECT 1", "bob")).is_error
    assert time.monotonic() - began < 3
    for each in slow:
        each.cancel()
    await asyncio.gather(*slow, return_exceptions=True)


async def test_what_is_too_much_to_wait_is_told_so(data: Data) -> None:
    slow = [asyncio.create_task(data.query(SLOW[0], "ann")) for _ in range(17)]
    await asyncio.sleep(0)
    assert await data.query("SELECT 1", "ann") == ToolResult(BUSY, is_error=True)
    for each in slow:
        each.cancel()
    await asyncio.gather(*slow, return_exceptions=True)
    assert await data.rows("SELECT 1") == [[1]]


async def test_every_function_that_waits_is_known() -> None:
    """A new version of DuckDB may bring others."""
    waits = "SELECT function_name FROM duckdb_functions() WHERE concat(function_name, macro_definition) ILIKE"
    found = {name for [name] in duckdb.sql(f"{waits} '%sleep%' OR function_name ILIKE '%wait%'").fetchall()}
    assert found == {"sleep_ms", "pg_sleep"}


async def test_queries_run_side_by_side_and_one_process_is_kept(data: Data) -> None:
    found = await asyncio.gather(*(data.rows(f"SELECT {number}") for number in range(6)))
    assert found == [[[number]] for number in range(6)]
    assert len(_workers()) <= 1


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")
async def test_the_process_has_nothing_of_our_environment(data: Data) -> None:
    await data.rows("SELECT 1")
    [worker] = _workers()
    environment = (worker / "environ").read_bytes().split(b"\0")
    assert {each.partition(b"=")[0] for each in environment} <= {b"PYTHONPATH", b""}


def _workers() -> list[Path]:
    """The folders in /proc of our own processes that run SQL."""
    ours: list[Path] = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it may end while we look
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == os.getpid() and str(WORKER).encode() in (folder / "cmdline").read_bytes().split(
                b"\0"
            ):
                ours.append(folder)
    return ours


ORPHAN = """
import asyncio, os
from chat.tools.data import SAMPLE, DataTools
async def main():
    await DataTools(SAMPLE).describe_data()
    print(open(f"/proc/self/task/{os.getpid()}/children").read(), flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")
async def test_a_process_whose_app_was_killed_ends() -> None:
    app = await asyncio.create_subprocess_exec(sys.executable, "-c", ORPHAN, cwd=ROOT, stdout=PIPE)
    assert app.stdout is not None
    async with asyncio.timeout(20):
        [worker] = (await app.stdout.readline()).split()
        app.kill()
        await app.wait()
        while _runs(worker.decode()):  # noqa: ASYNC110
            await asyncio.sleep(0.02)


def _runs(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_an_app_loads_duckdb_and_databricks_only_when_they_are_asked() -> None:
    code = "import sys, chat.app, chat.tools.builtin; print({'duckdb', 'databricks'} & sys.modules.keys())"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "set()"


async def test_after_closing_there_is_no_more_data(data: Data) -> None:
    await data.rows("SELECT 1")
    await data.tools.aclose()
    assert (await data.query("SELECT 1")).is_error


def test_the_description_lists_the_tables_with_their_columns() -> None:
    [query, describe] = [each.definition for each in DataTools(SAMPLE).tools]
    assert (query.name, describe.name) == ("query_data", "describe_data")
    assert "orders(order_id, day, plant, product, region, units, revenue), plants(" in query.description
    assert len(query.description) <= 1024


async def test_tables_are_described_with_types_and_examples(data: Data) -> None:
    orders, plants, products, sensors = await data.describe()
    assert orders["columns"]["revenue"] == "DOUBLE"
    assert (plants["table"], plants["rows"], len(plants["first_rows"])) == ("plants", 6, 3)
    assert (products["rows"], sensors["columns"]["day"]) == (12, "DATE")


async def test_parquet_odd_names_and_broken_files(tmp_path: Path) -> None:
    folder_with(tmp_path, **{"a b": 'x,"y z"\n1,2\n', "it's": "q\n5\n"})
    (tmp_path / "broken.parquet").write_bytes(b"no parquet")
    (tmp_path / "notes.txt").write_text("no table")
    duckdb.sql(f"COPY (SELECT 7 AS v) TO '{tmp_path / 'p.parquet'}'")
    data = Data(tmp_path)
    assert outline(find_tables(tmp_path)) == '"a b"(x, "y z"), broken, "it\'s"(q), p'
    assert await data.rows('SELECT x + "y z" FROM "a b"') == [[3]]
    assert await data.rows('SELECT q, v FROM "it\'s", p') == [[5, 7]]
    assert [each["table"] for each in await data.describe()] == ["a b", "it's", "p"]
    await data.tools.aclose()


def test_a_long_list_of_columns_is_left_to_describe_data(tmp_path: Path) -> None:
    folder_with(tmp_path, wide=",".join(f"column_{number}" for number in range(100)), small="a,b")
    assert outline(find_tables(tmp_path)) == "small, wide"
    folder_with(tmp_path, **{f"table_{'x' * 40}_{number}": "a" for number in range(40)})
    assert outline(find_tables(tmp_path)).endswith(" and more, see describe_data")


@pytest.mark.parametrize("exists", [True, False])
def test_without_tables_there_are_no_tools(tmp_path: Path, exists: bool) -> None:
    assert DataTools(tmp_path if exists else tmp_path / "x").tools == ()


async def test_an_empty_file_does_not_hide_the_others(tmp_path: Path) -> None:
    data = Data(folder_with(tmp_path, empty="", full="a\n1\n"))
    assert await data.rows('SELECT a FROM "full"') == [[1]]
    await data.tools.aclose()
