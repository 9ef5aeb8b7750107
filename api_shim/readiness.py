"""Whether this process can do its work: database, queue, and at least one worker."""

import asyncio

from api_shim.bootstrap import Shim
from connections.errors import QueueUnavailable, ServiceUnavailable

# A probe that hangs says as much as one that fails, and its caller has a deadline too.
_PROBE_SECONDS = 3.0

Report = dict[str, str]


async def check(shim: Shim) -> Report:
    """`{"database": "ok", "queue": "ok", "worker": "ok"}`. Raises `ServiceUnavailable` with the report otherwise, and
    for a process that is about to end."""
    if shim.draining.is_set():
        raise ServiceUnavailable("Not ready.", details={"process": "draining"})
    database, queue = await asyncio.gather(_database(shim), _queue_and_worker(shim))
    report = database | queue
    if set(report.values()) != {"ok"}:
        raise ServiceUnavailable("Not ready.", details=report)
    return report


async def _database(shim: Shim) -> Report:
    try:
        async with asyncio.timeout(_PROBE_SECONDS):
            await shim.reading.run(shim.service.ping)
    except (ServiceUnavailable, TimeoutError):
        return {"database": "unreachable"}
    return {"database": "ok"}


async def _queue_and_worker(shim: Shim) -> Report:
    try:
        async with asyncio.timeout(_PROBE_SECONDS):
            has_worker = await shim.broker.has_worker()
    except (QueueUnavailable, TimeoutError):
        return {"queue": "unreachable", "worker": "unknown"}
    return {"queue": "unreachable" if shim.queue_age.is_unknown else "ok", "worker": "ok" if has_worker else "none"}
