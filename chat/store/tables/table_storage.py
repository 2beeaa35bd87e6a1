"""The store on Azure Table Storage, put together: what the composition root opens and closes."""

from chat.clock import Clock, SystemClock
from chat.settings import Settings, storage_values
from chat.store.tables.session_writer import SessionWriters
from chat.store.tables.table_aliases import Aliases
from chat.store.tables.table_audit import TableAudit
from chat.store.tables.table_credentials import TableCredentials
from chat.store.tables.table_deletion import Deletions
from chat.store.tables.table_due import DueRows
from chat.store.tables.table_errands import TableErrands
from chat.store.tables.table_heads import Heads
from chat.store.tables.table_instances import TableInstances
from chat.store.tables.table_invitations import TableInvitations
from chat.store.tables.table_keyed_requests import TableKeyedRequests
from chat.store.tables.table_lists import UserLists
from chat.store.tables.table_members import TableMembers
from chat.store.tables.table_presence import TablePresence
from chat.store.tables.table_purge import EventPurge
from chat.store.tables.table_quotas import TableQuotas
from chat.store.tables.table_service import TableService
from chat.store.tables.table_sessions import TableConversations
from chat.store.tables.table_turns import TableTurns
from chat.store.tables.table_usage import UsageRows


class TableStorage:
    """All ports over one connection pool."""

    def __init__(self, service: TableService, clock: Clock) -> None:
        self.service = service
        heads = Heads(service.sessions, service.directory, clock)
        self.writers = SessionWriters(service.sessions, heads)
        due = DueRows(service.usage)
        lists = UserLists(service.directory)
        invitations = TableInvitations(service.directory, heads, lists, due, clock)
        aliases = Aliases(service.directory, heads, due, clock)
        deletions = Deletions(service.sessions, heads, invitations, aliases, due, clock)
        self.conversations = TableConversations(
            service.sessions,
            heads,
            self.writers,
            lists,
            invitations,
            deletions,
            aliases,
            clock,
        )
        self.members = TableMembers(heads, invitations, clock)
        usage, purge = UsageRows(service.usage), EventPurge(service.sessions, due, deletions)
        self.turns = TableTurns(service.sessions, usage, purge, heads, self.writers, self.conversations)
        self.instances = TableInstances(service.instances)
        self.errands = TableErrands(service.instances)
        self.audit = TableAudit(service.audit)
        self.requests = TableKeyedRequests(service.limits, due, clock)
        self.presence = TablePresence(service.sessions, service.instances, due)
        self.keys = TableCredentials(service.credentials)
        self.limits = TableQuotas(service.limits, service.clock)

    @classmethod
    def open(cls, settings: Settings, clock: Clock | None = None) -> "TableStorage":
        """Inside the event loop that will use it; nothing is sent before the first call. SettingsError."""
        service = TableService(storage_values(settings.storage), settings.table_prefix)
        return cls(service, clock or SystemClock())

    async def ping(self) -> None:
        """StoreUnavailable when the service does not answer within 2 s."""
        await self.service.ping()

    async def aclose(self) -> None:
        """Finish what is queued and close the connections. Idempotent."""
        await self.writers.aclose()
        await self.service.aclose()
