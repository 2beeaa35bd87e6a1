"""The Web PubSub trigger functions: JSON in, a dict out. How the extension names things is `trigger_json.py`."""

from chat.app import current_app
from chat.errors import ChatError
from chat.pubsub.handlers import handle
from chat.pubsub.trigger_json import Returned, read_trigger, show_refusal, show_return
from chat.settings import SettingsError
from chat.telemetry import record_error


async def answer(request: str) -> Returned | None:
    """The reply to one event."""
    try:
        return show_return(await handle(await current_app(), read_trigger(request)))
    except ChatError as error:
        return show_refusal(error)
    except SettingsError as error:
        record_error("misconfigured", error)
        return show_refusal(ChatError("A setting of the app is missing or wrong."))
    except Exception as error:
        record_error("socket_event_failed", error)
        return show_refusal(ChatError())
