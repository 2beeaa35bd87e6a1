"""Runs a script for Node, as the clients of other protocols are."""

import asyncio
from asyncio.subprocess import PIPE
from pathlib import Path

from tests.support.azurite import NODE


async def run_script(script: Path, *arguments: str, seconds: float = 60) -> str:
    """What it prints. AssertionError when it fails, with what it wrote to stderr."""
    process = await asyncio.create_subprocess_exec(
        str(NODE), str(script), *arguments, stdout=PIPE, stderr=PIPE
    )
    try:
        async with asyncio.timeout(seconds):
            said, errors = await process.communicate()
    except BaseException:
        process.kill()
        raise
    assert process.returncode == 0, errors.decode()
    return said.decode()
