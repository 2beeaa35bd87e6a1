"""Functions as tools: the schema comes from the type hints and the docstring, and arguments are checked by it.

@tool
async def add(a: int, b: Annotated[int, Field(ge=0)] = 0) -> int:
    \"\"\"Adds two numbers.

    Args:
        a: The first one.
    \"\"\"
"""

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from inspect import Parameter
from typing import Annotated, Any, NotRequired, Required, TypedDict, get_type_hints

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError

from chat.calls import ToolDefinition
from chat.events import JSONObject
from chat.tools.base import NOBODY, Caller, ToolError
from chat.tools.threads import BlockingCalls

ARGUMENT = re.compile(r"^    (\w+): (.+(?:\n {8}.+)*)", re.MULTILINE)
BY_NAME = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the model may call."""

    definition: ToolDefinition
    function: Callable[..., object]
    arguments: TypeAdapter[dict[str, Any]]
    caller: str = ""  # the parameter that is given the Caller, if there is one

    @property
    def guarded(self) -> "Tool":
        """The same tool, but its calls wait for an approval."""
        return replace(self, definition=replace(self.definition, needs_approval=True))

    async def run(
        self, arguments: str, caller: Caller = NOBODY, threads: BlockingCalls | None = None
    ) -> object:
        """Call the function with arguments as the model wrote them. A function that is not async runs in a thread,
        which nobody can stop: when its time is up it runs on unheard. ToolError for bad arguments."""
        given = self.read(arguments) | ({self.caller: caller} if self.caller else {})
        if inspect.iscoroutinefunction(self.function):
            return await self.function(**given)
        return await (threads or BlockingCalls()).run(caller.user_id, self.function, **given)

    def read(self, arguments: str) -> dict[str, Any]:
        """JSON text as arguments; a model that has nothing to say may say nothing. ToolError."""
        try:
            return self.arguments.validate_json(arguments.strip() or "{}")
        except ValidationError as error:
            problems = error.errors(include_url=False, include_input=False, include_context=False)
            wrong = "; ".join(_problem(each["loc"], each["msg"]) for each in problems[:10])
            raise ToolError(f"The arguments of {self.definition.name} are wrong: {wrong}") from None


def tool(function: Callable[..., object], *, description: str = "", needs_approval: bool = False) -> Tool:
    """A function as a tool of the same name; `description` takes the place of its docstring's. With `needs_approval` a
    call of it waits until somebody says yes. TypeError when a parameter has no type or cannot be given by name."""
    said, texts = _read_docstring(function)
    arguments = TypeAdapter(_arguments_of(function, texts))
    definition = ToolDefinition(
        function.__name__, description or said, _schema_of(arguments), needs_approval=needs_approval
    )
    return Tool(definition, function, arguments, _caller_of(function))


def _problem(place: tuple[int | str, ...], message: str) -> str:
    return ": ".join(filter(None, (".".join(map(str, place)), message)))


def _arguments_of(function: Callable[..., object], texts: Mapping[str, str]) -> Any:
    """The parameters as a typed dict: unlike a model it clashes with no name, and leaves defaults to the function."""
    hints = get_type_hints(function, include_extras=True)
    fields = {
        name: _field(function, parameter, hints.get(name), texts.get(name))
        for name, parameter in inspect.signature(function).parameters.items()
        if hints.get(name) is not Caller
    }
    arguments: Any = TypedDict("arguments", fields)  # type: ignore[operator]
    arguments.__pydantic_config__ = ConfigDict(extra="forbid")
    return arguments


def _caller_of(function: Callable[..., object]) -> str:
    return next((name for name, hint in get_type_hints(function).items() if hint is Caller), "")


def _field(function: Callable[..., object], parameter: Parameter, hint: Any, text: str | None) -> Any:
    if hint is None or parameter.kind not in BY_NAME:
        raise TypeError(f"{function.__name__}: {parameter.name} needs a type, and a name to give it by")
    if text:
        hint = Annotated[hint, Field(description=text)]
    if parameter.default is Parameter.empty:
        return Required[hint]
    return NotRequired[Annotated[hint, Field(json_schema_extra={"default": parameter.default})]]


def _schema_of(arguments: TypeAdapter[Any]) -> JSONObject:
    try:
        schema: dict[str, Any] = arguments.json_schema()
    except PydanticUserError as error:
        raise TypeError(str(error)) from None
    schema.pop("title", None)
    for each in schema.setdefault("properties", {}).values():
        each.pop("title", None)
    return schema


def _read_docstring(function: Callable[..., object]) -> tuple[str, dict[str, str]]:
    """What the tool does, and what its arguments are."""
    said, _, rest = (inspect.getdoc(function) or "").partition("\nArgs:\n")
    return " ".join(said.split()), {name: " ".join(text.split()) for name, text in ARGUMENT.findall(rest)}
