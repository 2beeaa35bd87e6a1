"""What others leave in this process's mailbox: wishes about turns that it makes, or made."""

from chat.store.instance_store import Mail
from chat.telemetry import record_error
from chat.turns.base import TurnWatcher
from chat.turns.orphans import Orphans
from chat.turns.roster import TurnRoster
from chat.turns.running import Stop


class MailReader:
    """Does what the mail asks for, without waiting."""

    def __init__(self, roster: TurnRoster, orphans: Orphans, watcher: TurnWatcher) -> None:
        self._roster, self._orphans, self._watcher = roster, orphans, watcher

    def read(self, mail: Mail) -> None:
        for turn_id in mail.cancels | mail.watches:
            self._read_about(turn_id, cancelled=turn_id in mail.cancels)
        for join in mail.joins:
            try:
                self._watcher.joined(join)
            except Exception as error:  # one bad piece costs that piece
                record_error("join_failed", error, turn_id=join.turn_id)

    def _read_about(self, turn_id: str, *, cancelled: bool) -> None:
        run = self._roster.get(turn_id)
        if run is None:
            self._orphans.heal(turn_id, cancelled=cancelled)
        elif cancelled:
            run.stop(Stop.CANCELLED)
        else:
            run.watch()
