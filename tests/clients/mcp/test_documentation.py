"""The program of the documentation, run."""

from tests.support.snippets import run_snippet, snippets_of
from tests.support.stack import Stack


async def test_the_program_of_the_documentation_runs(stack: Stack) -> None:
    [(language, program)] = snippets_of("MCP")
    assert await run_snippet(language, program, stack.url) == "word1 word2 word3\n2\n"
