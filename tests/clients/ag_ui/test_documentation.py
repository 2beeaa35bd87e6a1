"""The programs of docs/protocols.md for AG-UI."""

from local.model_server import expected_text
from tests.support.snippets import run_snippet, snippets_of
from tests.support.stack import Stack


async def test_the_programs_of_the_documentation_work(stack: Stack) -> None:
    printed = [await run_snippet(language, each, stack.url) for language, each in snippets_of("AG-UI")]
    assert printed == ["The tool says: red\n", f"{expected_text(3)}\n"]
