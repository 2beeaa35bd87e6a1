"""Dialect `ag-ui`: AG-UI 1.0, for its own clients and for those of TanStack AI (docs/protocols.md).

https://ag-ui.com/spec/1.0. What is refused is a problem: its clients hand on the status and the JSON.
"""

from chat.dialects.ag_ui.ag_ui_door import NAME, read_run
from chat.dialects.ag_ui.ag_ui_encoder import AgUiEncoder
from chat.dialects.ag_ui.ag_ui_input import RunAgentInput
from chat.dialects.ag_ui.ag_ui_thread import JoinEncoder, idle, show_thread
from chat.dialects.base import Dialect, Door, ReturnFace
from chat.dialects.framing import sse

AG_UI = Dialect(
    NAME,
    AgUiEncoder,
    framing=sse(),
    door=Door(RunAgentInput, read_run, key=("runId", "run_id")),
    returns=ReturnFace(JoinEncoder, idle, show_thread),
    schemas="chat.dialects.ag_ui.ag_ui_schemas",
)
