"""What Celery knows of this process, and how it is told to end."""

from collections.abc import Mapping

from celery.worker import state


def is_stopping() -> bool:
    return state.should_stop is not None


def stop(status: int) -> None:
    """Takes no further message; the process ends with `status` when what runs is done. Safe in a signal handler."""
    if state.should_stop is None:
        state.should_stop = status


def accepted() -> Mapping[str, float]:
    """Ids of the messages that a thread has begun and Celery does not take for done, and since when (Unix time)."""
    # In one step, because the threads change it meanwhile.
    requests = list(state.requests.values())
    return {request.id: request.time_start for request in requests if request.time_start is not None}
