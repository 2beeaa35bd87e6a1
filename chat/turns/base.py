"""What the core takes in: a request for a turn, and the source that produces its events."""

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from typing import Protocol

from chat.conversation import Session, Turn
from chat.events import JSONObject, TurnEvent, UsageReported
from chat.messages import Message, MessageDraft
from chat.requests import TurnRequest
from chat.store.instance_store import Join
from chat.store.turn_store import StartedTurn
from chat.turns.allowance import FREE, Allowance
from chat.turns.feed import EventFeed


@dataclass(frozen=True, slots=True)
class TurnContext:
    """What a source needs to know: the session, its messages up to the one that is answered (and after it the answer
    that the turn goes on from), and the request."""

    session: Session
    messages: tuple[Message | MessageDraft, ...]
    request: TurnRequest
    blamed: set[str] = field(default_factory=set[str], compare=False, repr=False)
    """The model services that this turn found down."""
    allowance: Allowance = field(default=FREE, compare=False, repr=False)
    """What the turn may use of its user's limits: all its model calls are made through it."""
    spent: list[UsageReported] = field(default_factory=list[UsageReported], compare=False, repr=False)
    """What was spent for this turn beside its steps, and is not in its events yet."""

    @property
    def settings(self) -> JSONObject:
        """The session's settings, and over them those of the turn."""
        return {**self.session.settings, **self.request.settings}

    def take_spent(self) -> list[UsageReported]:
        """What was spent beside the steps, once."""
        taken, self.spent[:] = list(self.spent), []
        return taken

    @property
    def provider(self) -> str:
        return self.session.llm_provider

    @property
    def model(self) -> str:
        return self.session.llm_model


class TurnWatcher(Protocol):
    """Is told of the turns of this process, to show them to whoever does not ask. Its methods return at once."""

    @property
    def telling(self) -> bool:
        """Whether there are turns that are shown to somebody here and not to their end."""
        ...

    def started(
        self,
        started: StartedTurn,
        feed: EventFeed,
        *,
        new: bool,
        asked: bool,
        pace: Callable[[float], None],
    ) -> None:
        """A turn began here, in a `new` session or not; `asked` when its question is new. `pace` sets the seconds in
        which its deltas are merged, where that is longer than usual."""
        ...

    def ended(self, turn: Turn, *, lost: bool) -> None:
        """It is made here no more; `lost` to another process, which ends it."""
        ...

    def joined(self, join: Join) -> None:
        """A socket wants to see a turn that is made here, or was."""
        ...

    def abandoned(self, turn: Turn) -> None:
        """The end of a turn that nobody made any more was written."""
        ...

    def died(self, instance_id: str) -> None:
        """An instance was found dead."""
        ...


class NoWatcher(TurnWatcher):
    """Where nobody watches."""

    @property
    def telling(self) -> bool:
        return False

    def started(
        self,
        started: StartedTurn,
        feed: EventFeed,
        *,
        new: bool,
        asked: bool,
        pace: Callable[[float], None],
    ) -> None:
        return

    def ended(self, turn: Turn, *, lost: bool) -> None:
        return

    def joined(self, join: Join) -> None:
        return

    def abandoned(self, turn: Turn) -> None:
        return

    def died(self, instance_id: str) -> None:
        return


class TurnSource(Protocol):
    """Produces what a turn says: everything between `TurnStarted` and the terminal event."""

    def events(self, context: TurnContext) -> AsyncGenerator[TurnEvent]:
        """The events in the order of the grammar. Raises ChatError when the turn fails; the runner closes what is
        open. Closing the generator stops the model."""
        ...
