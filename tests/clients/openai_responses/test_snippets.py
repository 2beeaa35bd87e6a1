"""The programs of docs/protocols.md."""

import pytest

from local.model_server import expected_text
from tests.support.snippets import run_snippet, snippets_of
from tests.support.stack import Stack

SAID = {
    "python": f"{expected_text(3)}\n{expected_text(2)}\n",
    "js": f"{expected_text(3)}\n",
}
SNIPPETS = snippets_of("OpenAI responses")


@pytest.mark.parametrize(("language", "program"), SNIPPETS, ids=[language for language, _ in SNIPPETS])
async def test_a_program_of_the_page_works(stack: Stack, language: str, program: str) -> None:
    assert await run_snippet(language, program, stack.url) == SAID[language]
