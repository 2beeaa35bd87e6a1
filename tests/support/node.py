"""Runs programs, as the clients of other protocols are: scripts for Node, and whatever else."""

import asyncio
from asyncio.subprocess import PIPE
from collections.abc import Sequence
from pathlib import Path

from tests.support.azurite import NODE
from tests.support.processes import ROOT


async def run_script(script: Path, *arguments: str, seconds: float = 60) -> str:
    """What a script for Node prints. AssertionError as `run_program`."""
    return await run_program([str(NODE), str(script), *arguments], seconds=seconds)


async def run_program(command: Sequence[str], *, seconds: float = 60) -> str:
    """What it prints, run at the root of the repository. AssertionError when it fails, with what it wrote to stderr."""
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=PIPE, stderr=PIPE)
    try:
        async with asyncio.timeout(seconds):
            said, errors = await process.communicate()
    except BaseException:
        process.kill()
        raise
    assert process.returncode == 0, errors.decode()
    return said.decode()
