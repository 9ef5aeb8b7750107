"""A snapshot as JSON."""

import json
from typing import Any

from cli.status.snapshot import Moving, Snapshot, free_threads
from connections.contract import rfc3339


def as_json(snapshot: Snapshot) -> str:
    """One object. What only Redis tells is null where it is away, and `redis` says why; spans are in seconds."""
    moving = snapshot.moving if isinstance(snapshot.moving, Moving) else None
    return json.dumps(
        {
            "at": rfc3339(snapshot.now),
            "redis": None if isinstance(snapshot.moving, Moving) else snapshot.moving,
            "in_flight": [
                {
                    "queue": one.queue,
                    "status": one.status,
                    "rows": one.rows,
                    "oldest_seconds": round(one.oldest_seconds, 3),
                }
                for one in snapshot.in_flight
            ],
            "messages": moving and moving.messages,
            "workers": moving
            and {"count": len(moving.threads), "threads": sum(moving.threads), "free": free_threads(snapshot)},
            "hosts": _hosts(snapshot, moving),
            "batches": [batch.model_dump(mode="json") for batch in snapshot.batches],
            "ended_in_the_last_minute": {one.cause or "connected": one.rows for one in snapshot.endings},
        }
    )


def _hosts(snapshot: Snapshot, moving: Moving | None) -> list[dict[str, Any]]:
    """Hosts that rows wait for or are on their way to, and the operator's own. The empty one is not known yet."""
    waiting = {one.host: one for one in snapshot.hosts}
    rooms = {} if moving is None else moving.rooms
    told = []
    for name in dict.fromkeys([*waiting, *snapshot.under_way, *sorted(rooms)]):
        one, room = waiting.get(name), rooms.get(name)
        told.append(
            {
                "host": name,
                "waiting": one.rows if one else 0,
                "due": one.due if one else 0,
                "under_way": snapshot.under_way.get(name, 0),
                "budget": room
                and {
                    "next_minute": int(room.requests),
                    "per_second": round(room.rate, 3),
                    "next_turn_seconds": round(room.wait, 3),
                    "answers_in_seconds": room.seconds,
                },
            }
        )
    return told
