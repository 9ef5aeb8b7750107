"""Valkey killed, frozen, emptied, and cut off. It only carries and announces: nothing depends on what is in it."""

import time

from connections.messages import Queue
from tests.faults.fleet import WORKERS, Fleet
from tests.faults.load import Load
from tests.faults.orders import Delivery, Point
from tests.faults.verdict import prove
from tests.processes import frozen
from tests.servers import wait_until

UNAVAILABLE = "503 QUEUE_UNAVAILABLE"


def test_killed_and_restarted_empty(fleet: Fleet) -> None:
    with Load(fleet) as load:
        load.until_answered(50)
        fleet.valkey.stop()
        load.until_told(UNAVAILABLE, 20)
        fleet.valkey.start()
    prove(fleet, load)


def test_frozen_for_20_seconds(fleet: Fleet) -> None:
    with Load(fleet, per_second=15) as load:
        load.until_answered(20)
        with frozen(fleet.valkey.pid):
            time.sleep(20)
    prove(fleet, load)
    assert load.answers[UNAVAILABLE] > 0


def test_connections_that_fall_silent(fleet: Fleet) -> None:
    """Half-open: of one worker and one API process, with every thread of the worker in the middle of an attempt."""
    with Load(fleet) as load:
        fleet.hold(Point.LOGGED_IN, "worker-2")
        fleet.proxy.mute()
        fleet.release(Point.LOGGED_IN, "worker-2")
    prove(fleet, load)


def test_every_connection_killed_while_tasks_run(fleet: Fleet) -> None:
    """Celery starts what runs a second time at once. The claim must see to it that nothing comes of that."""
    with Load(fleet) as load:
        fleet.hold(Point.LOGGED_IN, *WORKERS)
        with fleet.valkey.client() as client:
            for kind in ("normal", "pubsub"):
                client.execute_command("CLIENT", "KILL", "TYPE", kind)
        fleet.release(Point.LOGGED_IN, *WORKERS)
    prove(fleet, load)


def test_flushed(fleet: Fleet) -> None:
    """Messages wait behind threads that are all busy, and are gone."""
    with Load(fleet) as load, fleet.valkey.client() as client:
        fleet.hold(Point.CLAIMED, *WORKERS)
        wait_until(lambda: client.llen(Queue.CONNECT) >= 20, what="messages to wait")
        client.flushall()
        fleet.release(Point.CLAIMED, *WORKERS)
    prove(fleet, load)


def test_every_message_delivered_twice(fleet: Fleet) -> None:
    fleet.orders.set_delivery(Delivery.TWICE)
    with Load(fleet) as load:
        pass
    prove(fleet, load)


def test_every_tenth_message_lost(fleet: Fleet) -> None:
    fleet.orders.set_delivery(Delivery.LOSSY)
    with Load(fleet) as load:
        pass
    prove(fleet, load)
