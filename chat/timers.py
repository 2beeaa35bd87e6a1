"""What the timer triggers do."""

from datetime import timedelta

from chat.app import ChatApp, current_app
from chat.errors import ChatError, StoreError
from chat.telemetry import record, record_error

REMEMBERED = timedelta(days=1)  # for which a request with a key is known when its events are gone


async def sweep() -> None:
    """Count the sockets, end the turns of dead instances, go on with what processes that ended left, and remove what
    is old. A store that is away is asked again next time."""
    app = await current_app()
    counting = app.tasks.spawn(_count_sockets(app))  # beside the rest: the service may be slow
    for step in (_keep_out, _end_turns, _forget):
        try:
            await step(app)
        except StoreError as error:
            record("sweep_failed", step=step.__name__.strip("_"), code=error.code)
    await counting


async def _keep_out(app: ChatApp) -> None:
    """Those who may hear no more come first: the rest may take its time."""
    await app.evictions.work_off()
    await app.sockets.work_off(now=app.clock.now())


async def _end_turns(app: ChatApp) -> None:
    await app.waiting.work_off()
    await app.runner.sweep(events_ttl=timedelta(hours=app.settings.events_ttl_hours))


async def _forget(app: ChatApp) -> None:
    await _forget_requests(app)
    await app.audit.forget_audit(before=app.clock.now() - timedelta(days=app.settings.audit_days))


async def _forget_requests(app: ChatApp) -> None:
    """Those with a key: for a day after the events of a turn are gone a repeat is still told where it is."""
    kept = timedelta(hours=app.settings.events_ttl_hours) + REMEMBERED
    await app.requests.forget_requests(before=app.clock.now() - kept)


async def _count_sockets(app: ChatApp) -> None:
    try:
        await app.sockets.count(anew=True)
    except ChatError as error:
        record("sockets_not_counted", code=error.code)
    except Exception as error:
        record_error("sockets_not_counted", error)
