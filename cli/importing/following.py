"""A batch, as it goes on."""

import time
from collections.abc import Iterator
from functools import partial

from cli.importing.batches import Batches
from cli.importing.patience import Patience, Unavailable
from connections.contract import Batch, BatchStatus

POLL_SECONDS = 2.0

_ENDED = frozenset({BatchStatus.FINISHED, BatchStatus.CANCELED})


def follow(batches: Batches, batch_id: str, patience: Patience) -> Iterator[Batch]:
    """Yields the batch whenever it may have changed, and for the last time when it has ended.

    Follows its events. When they break off, or are not to be had, the batch itself says where it stands, and the events
    go on after the last one that arrived. Raises `CommandFailed` when it cannot be read.
    """
    last_event_id: str | None = None
    batch: Batch | None = None
    while True:
        try:
            for event in batches.events(batch_id, last_event_id):
                last_event_id = event.id or last_event_id
                if event.name == "progress":
                    batch = Batch.model_validate_json(event.data)
                if batch is not None:
                    yield batch
        except Unavailable:
            pass  # the question that follows is asked until it is answered, and tells why not
        batch = patience.until_answered(partial(batches.get, batch_id))
        yield batch
        if batch.status in _ENDED:
            return
        time.sleep(POLL_SECONDS)
