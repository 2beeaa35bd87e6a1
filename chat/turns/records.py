"""Log lines of sessions and turns that begin: ids, who is asked, and how much; never what is said."""

from collections.abc import Mapping
from types import MappingProxyType

from chat.conversation import Session
from chat.store.turn_store import StartedTurn
from chat.telemetry import record

NOWHERE: Mapping[str, str] = MappingProxyType({})


class Records:
    """`services` are the hosts of the model services by the names of their providers, in the order in which they are
    asked."""

    def __init__(self, services: Mapping[str, str] = NOWHERE) -> None:
        self._services = services

    def session_created(self, session: Session) -> None:
        """A session was made, by whatever door."""
        record(
            "session_created",
            session_id=session.id,
            user_id=session.user_id,
            provider=self._provider(session),
        )

    def turn_started(self, started: StartedTurn, messages: int) -> None:
        """A turn began, of which the model is shown so many messages: the question and those before it."""
        provider = self._provider(started.session)
        record(
            "turn_started",
            turn_id=started.turn.id,
            dialect=started.turn.request.dialect,
            provider=provider,
            endpoint=self._services.get(provider, ""),
            messages=messages,
        )

    def _provider(self, session: Session) -> str:
        """Who is asked first."""
        asked = session.llm_provider
        return asked if asked in self._services else next(iter(self._services), asked)
