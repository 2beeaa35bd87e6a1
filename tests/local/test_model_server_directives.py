"""How directives are found in a message, and what is left alone."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.model_server.directives import PLAIN, TABLE, DirectiveError, Directives, ToolOrder, describe, parse

README = Path(__file__).parents[2] / "local/model_server/README.md"

READ = [
    ("#chunks=200", Directives(chunks=200)),
    ("please #chunks=2 now", Directives(chunks=2)),
    ("#chunks=2\n#rate=0.5\t#first=10", Directives(chunks=2, rate=0.5, first=10.0)),
    ("#status=429 #retry_after=0.5", Directives(status=429, retry_after=0.5)),
    ("#stamp #echo", Directives(stamp=True, echo=True)),
    ("#tool=now", Directives(tool=(ToolOrder("now", "{}"),))),
    ('#tool=sum{"a": [1, "} #cut=1"]} then', Directives(tool=(ToolOrder("sum", '{"a": [1, "} #cut=1"]}'),))),
    ("#tool=a{} #tool=b", Directives(tool=(ToolOrder("a", "{}"), ToolOrder("b", "{}")))),
    ('#json={"a": 1} #rate=5', Directives(json='{"a": 1}', rate=5.0)),
    ("#json=[1,\n2]", Directives(json="[1,\n2]")),
    ('#text="two words\\n#cut=1"', Directives(text="two words\n#cut=1")),
    ("#model=gpt-5.1", Directives(model="gpt-5.1")),
    ("#cut=0 #stall=0", Directives(cut=0, stall=0)),
]

ORDINARY = [
    "",
    "What is issue #5 about?",
    "# chunks=5",
    "## A heading",
    "x#chunks=5",
    "http://host/page#first=2",
    "C# is fine, and #chunks is a word without its value",
    "#echo-chamber and #empty, with a comma",
    "#colour=red #topic=news",
    "#",
    "#=5",
]

WRONG = [
    ("#chunk=5", "#chunk is unknown; is #chunks meant"),
    ("#Chunks=5", "is #chunks meant"),
    ("#frist=5", "is #first meant"),
    ("#retry-after=5", "is #retry_after meant"),
    ("#chunks=", "#chunks cannot be read"),
    ("#chunks= 5", "#chunks cannot be read"),
    ("#chunks=many", "#chunks cannot be read"),
    ("#chunks=-1", "must be from 0"),
    ("#rate=0", "must be at least"),
    ("#rate=nan", "must be a number"),
    ("#first=inf", "must be a number"),
    ("#status=200", "must be from 400 to 599"),
    ("#stamp=1", "#stamp takes no value"),
    ("#cut=1 #cut=2", "#cut is given twice"),
    ("#json={broken", "#json cannot be read"),
    ("#text=word", "#text cannot be read"),
    ('#text="\\ud800"', "#text cannot be read"),
    ("#tool={}", "#tool cannot be read"),
    ("#tool=a{1}", "#tool cannot be read"),
    ("#json=" + "[" * 100_000, "#json cannot be read"),
]


@pytest.mark.parametrize(("text", "directives"), READ)
def test_a_directive_is_read_anywhere_in_the_text(text: str, directives: Directives) -> None:
    assert parse(text) == directives


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_text_with_a_number_sign_is_no_directive(text: str) -> None:
    assert parse(text) == PLAIN


@pytest.mark.parametrize(("text", "complaint"), WRONG)
def test_a_directive_that_cannot_be_obeyed_is_named(text: str, complaint: str) -> None:
    with pytest.raises(DirectiveError, match=complaint):
        parse(text)


@pytest.mark.parametrize("name", TABLE)
def test_the_example_of_every_directive_is_read(name: str) -> None:
    assert getattr(parse(TABLE[name].example), name) != getattr(PLAIN, name)


@pytest.mark.parametrize("name", TABLE)
def test_the_help_text_shows_every_directive(name: str) -> None:
    assert TABLE[name].example in describe()


MARKS = st.sampled_from(["#", "=", " ", "{", "}", '"', "[", "\\", "#tool=a{", "#json=", "#text=", *TABLE])


@given(st.lists(st.one_of(MARKS, st.text(max_size=5)), max_size=20).map("".join))
def test_no_text_breaks_the_parser(text: str) -> None:
    try:
        assert isinstance(parse(text), Directives)
    except DirectiveError as error:
        assert str(error).startswith("#")


@given(st.integers(0, 1_000_000), st.text(st.characters(exclude_characters="#", exclude_categories=("Cs",))))
def test_text_around_a_directive_changes_nothing(number: int, text: str) -> None:
    assert parse(f"{text} #chunks={number} {text}") == Directives(chunks=number)


@pytest.mark.parametrize("name", TABLE)
def test_the_readme_documents_every_directive(name: str) -> None:
    row = TABLE[name]
    assert f"| `{row.example}` | {row.help} |" in README.read_text()
