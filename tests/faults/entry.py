"""`connector worker` and `connector api` as the fault suite starts them: `python -m tests.faults.entry worker`.

The product, with what its own tests cannot bring about from outside: threads that stop at a point until they are told
to go on, messages that get lost or arrive twice, a wall clock that jumps, and waits cut short where only their order
matters. What is ordered is in `orders`.
"""

import datetime as dt
import os
import random
import threading
import time
from collections.abc import Callable
from functools import wraps
from types import ModuleType
from typing import Any

from tests.faults.orders import NAME, Delivery, Orders, Point

# A fifth to a third of the product's, so that a suite of many faults has time for all of them.
SETTLING_SECONDS = 3.0
FIRST_SWEEP_SECONDS = 3.0
RESEND_SECONDS = 3.0
LOST = 0.1

_LOOK_SECONDS = 0.02


def main() -> None:
    orders, name = Orders.of_environment(), os.environ[NAME]
    follow_clock(orders, name)
    tamper_with_messages(orders, random.Random(name))  # a seed, so that each run loses the same
    shorten_first_sweep()
    if name.startswith("worker"):
        shorten_lease()
        hold_at_points(orders, name)

    from cli.main import app  # noqa: PLC0415  after the clock and the waits

    app(prog_name="connector")


def shorten_first_sweep() -> None:
    from connections import service  # noqa: PLC0415

    shorten(service, "FIRST_SWEEP_SECONDS", FIRST_SWEEP_SECONDS)


def shorten_lease() -> None:
    from connections import dispatching, settlement  # noqa: PLC0415
    from worker import bootstrap, session_keeper  # noqa: PLC0415

    shorten(settlement, "_RESEND_SECONDS", RESEND_SECONDS)
    shorten(dispatching, "_SWEEP_SENT_SECONDS", RESEND_SECONDS)
    shorten(bootstrap, "_SETTLING_SECONDS", SETTLING_SECONDS)
    shorten(session_keeper, "_STORING_SECONDS", SETTLING_SECONDS)


def shorten(module: ModuleType, constant: str, seconds: float) -> None:
    assert getattr(module, constant) > seconds, f"{constant} is as short already"
    setattr(module, constant, seconds)


def hold_at_points(orders: Orders, name: str) -> None:
    from connections.keeping import Keeping  # noqa: PLC0415
    from connections.settlement import Settlement  # noqa: PLC0415
    from worker.settle import Settler  # noqa: PLC0415

    def stop(point: Point, task_id: str) -> None:
        if orders.is_held(name, point):
            orders.report(name, point, task_id)
        while orders.is_held(name, point):
            time.sleep(_LOOK_SECONDS)

    def around(
        owner: type,
        method: str,
        id_of: Callable[[Any], str],
        *,
        before: Point | None = None,
        after: Point | None = None,
    ) -> None:
        real: Callable[..., Any] = getattr(owner, method)

        @wraps(real)
        def held(self: Any, first: Any, *args: Any, **kwargs: Any) -> Any:
            if before:
                stop(before, id_of(first))
            result = real(self, first, *args, **kwargs)
            if after:
                stop(after, id_of(first))
            return result

        setattr(owner, method, held)

    def of_task(task: Any) -> str:
        return str(task.id)

    around(Settlement, "open_credentials", of_task, before=Point.CLAIMED)
    around(Settlement, "succeed", of_task, before=Point.LOGGED_IN, after=Point.SETTLED)
    around(Settlement, "postpone", of_task, before=Point.FAILED)
    around(Keeping, "store", of_task, before=Point.REFRESHED)
    # Rows of one message are settled together; the first speaks for them.
    around(Settler, "keep_all", lambda rows: str(rows[0].held.task.id), before=Point.LOGGED_IN, after=Point.SETTLED)


def tamper_with_messages(orders: Orders, chance: random.Random) -> None:
    """Where both sides put a task's message into the queue: the API first, the sweep again."""
    from celery import Celery  # noqa: PLC0415

    from connections.messages import CONNECT_ACCOUNT  # noqa: PLC0415

    real = Celery.send_task

    def send_task(self: Any, name: str, *args: Any, **kwargs: Any) -> Any:
        delivery = orders.delivery() if name == CONNECT_ACCOUNT else None
        if delivery is Delivery.LOSSY and chance.random() < LOST:
            return None
        if delivery is Delivery.TWICE:
            real(self, name, *args, **kwargs)
        return real(self, name, *args, **kwargs)

    Celery.send_task = send_task


def follow_clock(orders: Orders, name: str) -> None:
    """Moves `time.time` and `datetime.now` of every module imported from here on, and the monotonic clock not at all:
    a step of the wall clock leaves that alone too. Not moved is what asks the kernel from C."""
    import psycopg  # noqa: F401, PLC0415  looks up its adapters by the class of datetime, so it must know the real one
    import pydantic  # noqa: F401, PLC0415
    import sqlalchemy.dialects.postgresql  # noqa: F401, PLC0415

    real_time, real_datetime = time.time, dt.datetime
    offset = 0.0

    def look() -> None:
        nonlocal offset
        while True:
            offset = orders.clock(name)
            time.sleep(_LOOK_SECONDS)

    class AlsoTheReal(type):
        def __instancecheck__(cls, instance: object) -> bool:
            return isinstance(instance, real_datetime)

    class Moved(dt.datetime, metaclass=AlsoTheReal):
        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> dt.datetime:  # type: ignore[override]
            return real_datetime.now(tz) + dt.timedelta(seconds=offset)

    time.time = lambda: real_time() + offset
    dt.datetime = Moved  # type: ignore[misc]
    threading.Thread(target=look, name="clock", daemon=True).start()


if __name__ == "__main__":
    main()
