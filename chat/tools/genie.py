"""The tool `execute_genie_query`: a question to a Genie space of Databricks, which writes and runs the SQL itself.

https://docs.databricks.com/api/workspace/genie (2.0), through databricks-sdk 0.156: its calls block, so each runs in a
thread of ours, and the waiting between them is ours, so that a turn that is stopped asks no more.
"""

import asyncio
import json
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import Field

from chat.databricks import DatabricksAccess, make_config
from chat.events import JSON, JSONObject
from chat.telemetry import record_error, without_secrets
from chat.tools.base import NOBODY, Caller, ToolError
from chat.tools.function_tool import Tool, tool
from chat.tools.threads import BlockingCalls

POLLS = (0.5, 1.0, 2.0)  # seconds between looks; the last one is repeated
MAX_ROWS = 200
DONE = "COMPLETED"
BROKEN = ("FAILED", "CANCELLED", "QUERY_RESULT_EXPIRED")

# It becomes a part of a URL: a model must not lead elsewhere.
SpaceId = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,64}$")]
Question = Annotated[str, Field(min_length=1, max_length=8000)]


class Genie:
    """Asks Genie. The client is made with the first question: to import the SDK takes 2 s."""

    def __init__(self, access: DatabricksAccess) -> None:
        self._access = access
        self._client: Any = None
        self._making = asyncio.Lock()
        self._threads = BlockingCalls()

    @property
    def tools(self) -> tuple[Tool, ...]:
        """None without a workspace."""
        return (tool(self.execute_genie_query),) if self._access.configured else ()

    async def execute_genie_query(
        self, space_id: SpaceId, query: Question, caller: Caller = NOBODY
    ) -> JSONObject:
        """Asks a Databricks Genie space a question about its data: answers with text, SQL and the rows it found.

        Args:
            space_id: The id of the Genie space.
            query: The question, in words.
        """
        async with self._making:
            if self._client is None:
                self._client = await self._call(caller, _make_client, self._access)
        wait = await self._call(caller, self._client.genie.start_conversation, space_id, query)
        message = await self._completed(caller, space_id, wait.response)
        return await self._result(caller, space_id, message)

    async def _completed(self, caller: Caller, space_id: str, asked: Any) -> Any:
        look, looks = self._client.genie.get_message, 0
        while True:
            message = await self._call(caller, look, space_id, asked.conversation_id, asked.message_id)
            status = message.status.value if message.status else ""
            if status == DONE:
                return message
            if status in BROKEN:
                reason = message.error.error if message.error else ""
                raise ToolError(f"Genie ended with {status}: {reason or 'no reason given'}")
            await asyncio.sleep(POLLS[min(looks, len(POLLS) - 1)])
            looks += 1

    async def _result(self, caller: Caller, space_id: str, message: Any) -> JSONObject:
        """What the attachments say; of several queries the last one counts."""
        result: JSONObject = {}
        for attachment in message.attachments or []:
            if attachment.text and attachment.text.content:
                said = str(result.get("text", ""))
                result["text"] = f"{said}\n{attachment.text.content}".strip()
            if attachment.query and attachment.query.query:
                found = await self._call(
                    caller,
                    self._client.genie.get_message_attachment_query_result,
                    space_id,
                    message.conversation_id,
                    message.message_id,
                    attachment.attachment_id,
                )
                about = attachment.query.description or ""
                result |= {"description": about, "sql": attachment.query.query, **_rows(found)}
        return result or {"text": "Genie had no answer."}

    async def _call(self, caller: Caller, function: Callable[..., Any], *arguments: Any) -> Any:
        """One blocking call. What the service says goes to the model; what went wrong on the way, to the log."""
        try:
            return await self._threads.run(caller.user_id, function, *arguments)
        except (OSError, ValueError) as error:
            code = getattr(error, "error_code", None)  # a DatabricksError, which is an OSError
            if code:
                raise ToolError(f"Genie refused: {code}: {self._told(error)}") from None
            record_error("genie_failed", error)
            raise ToolError("Genie cannot be reached.") from None

    def _told(self, error: Exception) -> str:
        """What the service says, but for a secret of ours that it quotes."""
        said = str(error)
        for secret in filter(None, (self._access.token, self._access.client_secret)):
            said = said.replace(secret, "***")
        return without_secrets(said)[:500]


def _make_client(access: DatabricksAccess) -> Any:
    from databricks.sdk import WorkspaceClient

    return WorkspaceClient(config=make_config(access))


def _rows(found: Any) -> JSONObject:
    """The table in the first piece of the result: Genie's cells are texts."""
    response = found.statement_response
    columns = (response.manifest.schema.columns if response and response.manifest else None) or []
    rows: list[Any] = (response.result.data_array if response and response.result else None) or []
    shown: list[JSON] = json.loads(json.dumps(rows[:MAX_ROWS]))
    table: JSONObject = {"columns": [str(column.name) for column in columns], "rows": shown}
    more = len(rows) > MAX_ROWS or bool(response and response.manifest and response.manifest.truncated)
    return table | {"truncated": True} if more else table
