"""How the connection to the account is made from settings, and that the tables are made when they are missing."""

import subprocess
import sys

import pytest
from azure.data.tables.aio import TableClient

from chat.settings import Settings, SettingsError, load_settings
from chat.store.tables.table_service import TableService
from chat.store.tables.table_storage import TableStorage
from tests.store.builders import new_session, ports_of
from tests.store.conftest import OpenStorage
from tests.support.azurite import ROOT, Azurite

DEVELOPMENT = "UseDevelopmentStorage=true"


@pytest.mark.parametrize(
    ("values", "url"),
    [
        ({"": DEVELOPMENT}, "http://127.0.0.1:10002/devstoreaccount1"),
        ({"accountName": "acct"}, "https://acct.table.core.windows.net"),
        ({"tableServiceUri": "https://x.table.core.windows.net/"}, "https://x.table.core.windows.net"),
        ({"tableServiceUri": "https://x.y", "accountName": "acct", "clientId": "c"}, "https://x.y"),
    ],
)
async def test_the_account_is_named_by_the_settings(values: dict[str, str], url: str) -> None:
    service = TableService(values, "chat")
    assert service.url == url
    await service.aclose()
    await service.aclose()


@pytest.mark.parametrize("values", [{}, {"clientId": "c"}, {"": "nonsense"}, {"accountName": ""}])
async def test_settings_that_name_no_account_are_refused(values: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match=r"^CHAT_STORAGE: "):
        TableService(values, "chat")


@pytest.mark.parametrize("prefix", ["", "1chat", "chat-1", "c" * 60, "chät"])
async def test_a_prefix_that_makes_no_table_names_is_refused(prefix: str) -> None:
    with pytest.raises(SettingsError, match=r"^CHAT_TABLE_PREFIX: "):
        TableService({"": DEVELOPMENT}, prefix)


async def test_the_store_opens_from_the_settings(azurite: Azurite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MyStorage", azurite.connection_string)
    settings = load_settings(
        {
            "CHAT_STORAGE": "MyStorage",
            "MyStorage": "set",
            "AZURE_AI_ENDPOINT": "x",
            "CHAT_TABLE_PREFIX": "opened",
        }
    )
    assert isinstance(settings, Settings)
    storage = TableStorage.open(settings)
    await storage.ping()
    assert await storage.instances.list_leases() == []
    await storage.aclose()


async def test_tables_that_were_deleted_are_made_again(
    open_storage: OpenStorage, azurite: Azurite, prefix: str
) -> None:
    storage = open_storage()
    store = ports_of(storage)
    await new_session(store, "one")
    for name in ("sessions", "directory", "instances"):
        async with TableClient.from_connection_string(azurite.connection_string, prefix + name) as table:
            await table.delete_table()
    session = await new_session(store, "two")
    assert (await store.conversations.list_sessions("ann", limit=5)).items == (session,)
    assert (await store.instances.register("i1")).beat == 0


def test_the_ports_import_no_sdk() -> None:
    ports = "chat.store.turn_store, chat.store.instance_store"
    code = f"import sys, {ports}; sys.exit(any(name.startswith('azure') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=20).returncode == 0
