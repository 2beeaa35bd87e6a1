"""The process in which SQL runs: `python data_worker.py`. It imports nothing of ours, and has no environment.

Reads one JSON line that says what to load and which limits hold, then one `{"sql"}` a line, and answers each with one
line: `{"columns", "rows"}` or `{"error"}`. Its memory is limited by the kernel: DuckDB's own limit does not see a
single large value (`repeat('x', 1000000000)` took 1 GB; DuckDB 2.0.0).
"""

import contextlib
import datetime
import decimal
import json
import math
import signal
import sys
from collections.abc import Iterator
from typing import Any

import duckdb

LOCKED = (
    "temp_directory = ''",  # first: files in it could be read
    "python_enable_replacements = false",
    "autoinstall_known_extensions = false",
    "autoload_known_extensions = false",
    "allow_community_extensions = false",
    "enable_external_access = false",
    "lock_configuration = true",  # last
)
READERS = {".csv": "read_csv", ".parquet": "read_parquet"}
ZONED = "TIMESTAMP WITH TIME ZONE"
EXAMPLES = 3  # rows that show what a table holds
# They only wait, or run SQL that stands in a text, where no parser of ours has looked.
REFUSED = ("sleep_ms", "pg_sleep", "query", "json_execute_serialized_sql")
ALLOWED = "Only one SELECT (or WITH ... SELECT) statement is allowed."


class Refused(Exception):
    """What is wrong with the query, for the model."""


def open_database(setup: dict[str, Any]) -> tuple[duckdb.DuckDBPyConnection, dict[str, str]]:
    """The tables in memory, behind a lock that no SQL can open, and why some could not be read."""
    config = {"memory_limit": setup["memory"], "threads": setup["threads"]}
    connection = duckdb.connect(":memory:", config=config)
    failed: dict[str, str] = {}
    for name, path in setup["tables"].items():
        try:
            reader = READERS[path[path.rindex(".") :].lower()]
            file = path.replace("'", "''")
            connection.execute(f"CREATE TABLE {_quoted(name)} AS SELECT * FROM {reader}('{file}')")
        except (duckdb.Error, MemoryError) as error:
            failed[name] = str(error)[:500]
    for setting in LOCKED:
        connection.execute(f"SET {setting}")
    return connection, failed


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def answer(connection: duckdb.DuckDBPyConnection, sql: str, *, rows: int, size: int) -> dict[str, Any]:
    """The result of a query, or why there is none."""
    try:
        return _run(connection, _only_select(connection, sql), rows, size)
    except Refused as refused:
        return {"error": str(refused)}
    except MemoryError:
        return {"error": "The query needs too much memory."}
    except Exception as error:  # DuckDB's own, and what a value cannot be shown for
        return {"error": str(error)[:2000] or type(error).__name__}


def _only_select(connection: duckdb.DuckDBPyConnection, sql: str) -> str:
    """The text of the one statement, when DuckDB's parser says that it only selects."""
    statements = connection.extract_statements(sql)
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise Refused(ALLOWED)
    text = statements[0].query.rstrip().rstrip(";")
    for name in _functions(connection, text):
        if name in REFUSED:
            raise Refused(f"The function {name} is not allowed.")
    return text


def _functions(connection: duckdb.DuckDBPyConnection, sql: str) -> Iterator[str]:
    """The functions that a query calls, wherever it does, as DuckDB's parser finds them."""
    [[written]] = connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [sql]).fetchall()
    tree = json.loads(written)
    if tree["error"]:
        raise Refused(ALLOWED)
    left: list[Any] = [tree]
    while left:
        match left.pop():
            case dict() as node:
                if "function_name" in node:
                    yield str(node["function_name"]).lower()
                left += node.values()
            case list() as nodes:
                left += nodes
            case _:
                pass


def _run(connection: duckdb.DuckDBPyConnection, sql: str, rows: int, size: int) -> dict[str, Any]:
    """The transaction is what refuses a SELECT that writes: `WITH x AS (INSERT ...) SELECT ...`."""
    connection.execute("BEGIN TRANSACTION READ ONLY")
    try:
        relation = connection.sql(sql).limit(rows + 1)
        columns, found = relation.columns, _fetched(relation)
    finally:
        with contextlib.suppress(duckdb.Error):
            connection.execute("ROLLBACK")
    if len(found) > rows:
        raise Refused(f"The result has more than {rows} rows: aggregate, or add a LIMIT.")
    result = {"columns": columns, "rows": [[_plain(value) for value in row] for row in found]}
    if len(json.dumps(result)) > size:
        raise Refused(f"The result has more than {size} bytes: select fewer columns or rows.")
    return result


def _fetched(relation: duckdb.DuckDBPyRelation) -> list[tuple[Any, ...]]:
    """All rows. Moments with a zone come as texts: as values, DuckDB would need another package for them."""
    kinds = [str(kind) for kind in relation.types]
    if ZONED in kinds:
        shown = (f"CAST(#{n} AS VARCHAR)" if kind == ZONED else f"#{n}" for n, kind in enumerate(kinds, 1))
        relation = relation.project(", ".join(shown))
    return relation.fetchall()


def _plain(value: Any) -> Any:
    """A value as JSON. Sums of floats are shown with the digits that mean something."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return float(f"{value:.12g}") if math.isfinite(value) else str(value)
        case decimal.Decimal():
            return _plain(float(value))
        case datetime.date() | datetime.time():
            return value.isoformat()
        case bytes():
            return value.hex()
        case list() | tuple():
            return [_plain(each) for each in value]
        case dict():
            return {str(key): _plain(each) for key, each in value.items()}
        case _:
            return str(value)


def describe(connection: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    """Every table with its columns, its size and its first rows."""
    names: list[str] = [row[0] for row in connection.execute("SHOW TABLES").fetchall()]
    return [_described(connection, name) for name in names]


def _described(connection: duckdb.DuckDBPyConnection, name: str) -> dict[str, Any]:
    table = connection.table(_quoted(name))
    columns = {column: str(kind) for column, kind in zip(table.columns, table.types, strict=True)}
    first: list[list[Any]] = []
    with contextlib.suppress(duckdb.Error):  # of values that cannot be shown
        first = [[_plain(value) for value in row] for row in _fetched(table.limit(EXAMPLES))]
    return {"table": name, "rows": len(table), "columns": columns, "first_rows": first}


def limit_memory(address_space: int) -> None:
    """Where the system can: in the kernel."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (address_space, address_space))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def limit_time(seconds: float) -> None:
    """0 for no limit. Whoever asked stops us earlier; this is for a query that outlives it."""
    with contextlib.suppress(AttributeError):  # not on Windows
        signal.setitimer(signal.ITIMER_REAL, seconds)


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for whoever asks: the end of its pipe is ours
    setup = json.loads(sys.stdin.readline())
    limit_memory(setup["address_space"])
    connection, failed = open_database(setup)
    print(json.dumps({"tables": describe(connection), "failed": failed}), flush=True)
    for line in sys.stdin:
        limit_time(setup["seconds"])
        reply = answer(connection, json.loads(line)["sql"], rows=setup["rows"], size=setup["bytes"])
        limit_time(0)
        print(json.dumps(reply), flush=True)


if __name__ == "__main__":
    main()
