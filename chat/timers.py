"""What the timer triggers do."""

from datetime import timedelta

from chat.app import current_app
from chat.errors import StoreError
from chat.telemetry import record


async def sweep() -> None:
    """End the turns of dead instances and purge old events; a store that is away is tried again next time."""
    app = await current_app()
    try:
        await app.runner.sweeper.sweep(events_ttl=timedelta(hours=app.settings.events_ttl_hours))
    except StoreError as error:
        record("sweep_failed", code=error.code)
