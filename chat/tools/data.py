"""The tools `query_data` and `describe_data`: SQL over the CSV and Parquet files of a folder.

What SQL may do is decided in `data_worker.py`, in a process of its own (docs/decisions/0011-sql-in-its-own-process.md).
"""

import csv
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import Field

from chat.events import JSONObject
from chat.telemetry import record
from chat.tools.base import NOBODY, Caller
from chat.tools.data_process import DataLimits, SqlProcesses
from chat.tools.function_tool import Tool, tool

SAMPLE = Path(__file__).resolve().parents[2] / "data"  # what CHAT_DATA_DIR is when it is not set
SUFFIXES = (".csv", ".parquet")
MAX_TABLES = 50
OUTLINE_LENGTH = 700  # characters; services take descriptions of at most 1024
PLAIN_NAME = re.compile(r"[A-Za-z_]\w*")

Sql = Annotated[str, Field(min_length=1, max_length=20_000)]


class DataTools:
    """The tools over one folder, and the processes behind them."""

    def __init__(self, folder: Path, limits: DataLimits = DataLimits()) -> None:  # noqa: B008
        self._files = find_tables(folder)
        self._processes = SqlProcesses(self._files, limits)

    @property
    def tools(self) -> tuple[Tool, ...]:
        """None when there is nothing to ask."""
        if not self._files:
            return ()
        tables = outline(self._files)
        description = f"Runs one read-only SQL query (DuckDB, SELECT only) over these tables: {tables}."
        return tool(self.query_data, description=description), tool(self.describe_data)

    async def query_data(self, sql: Sql, caller: Caller = NOBODY) -> JSONObject:
        """Runs one read-only SQL query.

        Args:
            sql: One SELECT statement in DuckDB's dialect. Aggregate: only small results are returned.
        """
        return await self._processes.query(sql, caller.user_id)

    async def describe_data(self, caller: Caller = NOBODY) -> list[JSONObject]:
        """Lists the tables that query_data can read, with the type of each column and a few rows."""
        return await self._processes.tables(caller.user_id)

    async def aclose(self) -> None:
        await self._processes.aclose()


def find_tables(folder: Path) -> dict[str, Path]:
    """The files that are tables, by the table's name, in the order of the names."""
    found: dict[str, Path] = {}
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    for file in files:
        if file.suffix.lower() in SUFFIXES and file.is_file() and len(found) < MAX_TABLES:
            found.setdefault(file.stem, file)
    if not found:
        record("no_data", folder=str(folder))
    return found


def outline(files: Mapping[str, Path]) -> str:
    """`orders(day, plant, revenue), plants(plant, city)`; without columns when that gets too long."""
    for write in (_with_columns, _quoted):
        text = ", ".join(write(name, file) for name, file in files.items())
        if len(text) <= OUTLINE_LENGTH:
            return text
    return f"{text[:OUTLINE_LENGTH].rpartition(',')[0]} and more, see describe_data"


def _with_columns(name: str, file: Path) -> str:
    """The columns of a Parquet file stand at its end, in a form of its own: `describe_data` knows them."""
    columns = _header(file) if file.suffix.lower() == ".csv" else []
    return f"{_quoted(name)}({', '.join(map(_quoted, columns))})" if columns else _quoted(name)


def _header(file: Path) -> list[str]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            return next(csv.reader(lines), [])
    except (OSError, UnicodeDecodeError, csv.Error):
        return []


def _quoted(name: str, _file: Path | None = None) -> str:
    return name if PLAIN_NAME.fullmatch(name) else '"' + name.replace('"', '""') + '"'
