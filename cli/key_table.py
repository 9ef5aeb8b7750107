"""What `connector keys` says about keys. Their ids only; a key itself is never printed."""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta

from connections.contract import rfc3339
from connections.rotation import KeyReport, KeyState

_UNITS = ((timedelta(days=2), timedelta(days=1), "d"), (timedelta(hours=2), timedelta(hours=1), "h"))


def as_table(reports: Sequence[KeyReport], now: datetime) -> str:
    lines = [("kind", "key", "age", "rows", "state")]
    lines += [
        (each.kind, each.id or "?", _age(each.created_at, now), f"{each.rows:,}", _state(each)) for each in reports
    ]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        f"{kind:{widths[0]}}  {key:{widths[1]}}  {age:>{widths[2]}}  {rows:>{widths[3]}}  {state}"
        for kind, key, age, rows, state in lines
    )


def as_json(reports: Sequence[KeyReport]) -> str:
    return json.dumps(
        [
            {
                "kind": each.kind,
                "id": each.id,
                "state": each.state,
                "rows": each.rows,
                "needed_by": {secrets.many: rows for secrets, rows in each.needed_by},
                "created_at": each.created_at and rfc3339(each.created_at),
                "retires_at": each.retires_at and rfc3339(each.retires_at),
            }
            for each in reports
        ]
    )


def verdict(reports: Sequence[KeyReport]) -> str:
    """What is to be done, when something is."""
    lost = [each for each in reports if each.state is KeyState.LOST]
    if lost:
        named = ", ".join(f"{each.id} ({counted(each)})" for each in lost)
        return f"DATA LOSS: rows need keys that the ring does not have: {named}. Put back the ring that has them."
    return "A rotation is not finished: `connector keys rotate` goes on with it."


def counted(each: KeyReport) -> str:
    return " and ".join(f"{rows:,} {secrets.one if rows == 1 else secrets.many}" for secrets, rows in each.needed_by)


def _state(each: KeyReport) -> str:
    match each.state:
        case KeyState.NEEDED:
            return f"needed by {counted(each)}"
        case KeyState.RETIRING if each.retires_at is not None:
            return f"old, stays until {each.retires_at:%H:%M:%S}Z"
        case KeyState.LOST:
            return f"LOST: not in the ring, and {counted(each)} cannot be read"
        case KeyState.UNNAMED:
            return "written by an older version, which did not say with which key"
        case KeyState.RETIRABLE:
            return "old, needed by nothing"
        case _:
            return str(each.state)


def _age(created_at: datetime | None, now: datetime) -> str:
    if created_at is None:
        return "?"
    age = now - created_at
    for least, unit, name in _UNITS:
        if age >= least:
            return f"{age // unit} {name}"
    return f"{age // timedelta(minutes=1)} min"
