"""Every contender. The first is the floor, whose times are what the others' are compared with."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from bench.compare import prepare
from bench.compare.contender import API, PORT, Contender, Promises
from bench.compare.job import SLOTS, Clients
from bench.compare.upstream import Identifier

_MODULES = "bench.compare.contenders"

_AS_REDIS = "as Redis is"
_NOTHING = Promises(durable="no", again="no", keeps="nothing")
_PREFORK = 8

_DATABASES = {"SQLite": False, "Postgres": True}


def contenders() -> list[Contender]:
    return [_floor(), *_inline(), *_libraries(), *_connector()]


def _floor() -> Contender:
    return Contender(
        "floor: httpx in threads", module=f"{_MODULES}.floor", family="no queue", promises=_NOTHING, jobs={}
    )


def _inline() -> Iterator[Contender]:
    module, writing = f"{_MODULES}.inline", f"{_MODULES}.inline_writes"
    yield from _twice(
        Contender("inline FastAPI", module=module, family="no queue", promises=_NOTHING, jobs={API: [module]})
    )
    for database, on_postgres in _DATABASES.items():
        yield Contender(
            f"inline + writes + encrypts, {database}",
            module=writing,
            family="no queue",
            promises=Promises(durable="yes", again="no", keeps="row, encrypted"),
            jobs={API: [writing]},
            prepare=partial(prepare.connector, on_postgres=on_postgres),
        )


def _libraries() -> Iterator[Contender]:
    library = partial(Contender, family="library", at_once=True)
    redis = partial(Promises, durable=_AS_REDIS, keeps="Redis, in clear")
    arq, saq, huey = (f"{_MODULES}.{name}" for name in ("arq", "saq", "huey"))
    dramatiq, procrastinate, celery = (f"{_MODULES}.{name}" for name in ("dramatiq", "procrastinate", "celery"))
    yield from _twice(library("arq", module=arq, promises=redis(again="yes"), jobs={"worker": [arq]}))
    yield from _twice(
        library("saq", module=saq, promises=redis(again="yes"), jobs={"worker": ["saq", f"{saq}.settings"]})
    )
    yield from _twice(
        library(
            "procrastinate",
            module=procrastinate,
            promises=Promises(durable="yes", again="no", keeps="Redis, in clear"),
            jobs={"worker": ["procrastinate", "--app", f"{procrastinate}.app", "worker", "--concurrency", str(SLOTS)]},
            prepare=prepare.procrastinate,
        )
    )
    yield from _twice(
        library(
            "huey",
            module=huey,
            promises=redis(again="no"),
            jobs={"worker": ["huey.bin.huey_consumer", f"{huey}.huey", "--workers", str(SLOTS), "--quiet"]},
        )
    )
    yield from _twice(
        library(
            "dramatiq",
            module=dramatiq,
            promises=redis(again="yes"),
            jobs={"worker": ["dramatiq", dramatiq, "--processes", "1", "--threads", str(SLOTS)]},
        )
    )
    in_celery = partial(library, module=celery, promises=redis(again="no"))
    worker = ["celery", "--app", celery, "worker", "--concurrency"]
    yield in_celery(f"Celery prefork -c {_PREFORK}", jobs={"worker": [*worker, str(_PREFORK)]})
    yield from _twice(
        in_celery(f"Celery threads -c {SLOTS}", jobs={"worker": [*worker, str(SLOTS), "--pool", "threads"]})
    )


def _twice(contender: Contender) -> Iterator[Contender]:
    """With the one client that its examples have, and with a client for each job in flight."""
    for clients, name in ((Clients.SHARED, "one client"), (Clients.PER_SLOT, "client per slot")):
        yield replace(contender, name=f"{contender.name}, {name}", clients=clients)


def _connector() -> Iterator[Contender]:
    service = partial(
        Contender,
        family="Connector",
        promises=Promises(durable="yes", again="yes", keeps="row, encrypted"),
        jobs={API: ["cli", "api", "--port", PORT], "worker": ["bench.compare.connector_worker", "worker"]},
        beside={"beat": ["cli", "beat"]},
    )
    one_by_one, in_batches = f"{_MODULES}.connector", f"{_MODULES}.connector_bulk"
    for database, on_postgres in _DATABASES.items():
        on = partial(service, prepare=partial(prepare.connector, on_postgres=on_postgres))
        yield on(f"Connector sync, {database}", module=one_by_one)
        bulk = partial(on, module=in_batches, in_turns=False, at_once=True)
        yield bulk(f"Connector bulk, {database}")
        yield bulk(f"Connector bulk by DID, {database}", identifier=Identifier.DID)
