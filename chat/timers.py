"""What the timer triggers do."""

from datetime import timedelta

from chat.app import current_app
from chat.errors import StoreError
from chat.telemetry import record


async def sweep() -> None:
    """End the turns of dead instances, go on with what processes that ended left, and purge old events. A store that is
    away is asked again next time."""
    app = await current_app()
    try:
        await app.waiting.work_off()
        await app.evictions.work_off()
        await app.runner.sweep(events_ttl=timedelta(hours=app.settings.events_ttl_hours))
        await app.sockets.work_off(now=app.clock.now())
    except StoreError as error:
        record("sweep_failed", code=error.code)
