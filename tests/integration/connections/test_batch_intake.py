"""Batches taken in, whole or not at all, on SQLite and on Postgres."""

import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import func, select, update
from structlog.testing import capture_logs

from connections.bulk import intake
from connections.bulk.intake import AcceptedDelivery, BatchFormat, BatchIntake, Delivery
from connections.bulk.reading import Batches
from connections.contract import BatchStatus
from connections.db import Database
from connections.errors import BadRequest, IdempotencyKeyReused, NotFound, ValidationFailed
from connections.models import connect_batches, connect_tasks, metadata
from connections.repository.retention import delete_batch, retentions
from connections.settings import Settings
from connections.sqltime import from_now
from connections.vault import Opener, SealedFor, Sealer, WorkerKeys
from tests.factories import Tenant, make_tenant

HEADER = "handle,app_password,profile_id,external_ref\n"


@pytest.fixture(autouse=True)
def _few_rows_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "_ROWS_PER_TRANSACTION", 2)


@pytest.fixture
def batch_intake(database: Database, settings: Settings, worker_keys: WorkerKeys) -> BatchIntake:
    return BatchIntake(database, Sealer(worker_keys.for_shim()), settings)


@pytest.fixture
def tenant(database: Database) -> Tenant:
    return make_tenant(database)


def rows(count: int) -> str:
    return "".join(f"user{n}.test,canary-{n},,ref-{n}\n" for n in range(1, count + 1))


def csv(text: str) -> Delivery:
    return Delivery(BatchFormat.CSV, [text.encode()])


def contents(database: Database) -> dict[str, int]:
    with database.read() as connection:
        return {
            table.name: connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in metadata.sorted_tables
        }


def accept(batch_intake: BatchIntake, tenant: Tenant, delivery: Delivery, key: str | None = None) -> AcceptedDelivery:
    return batch_intake.accept(tenant.caller, delivery, request_id=f"req_{key}", idempotency_key=key)


def test_good_rows_are_tasks_that_wait_for_a_dispatcher(
    batch_intake: BatchIntake, database: Database, tenant: Tenant, worker_keys: WorkerKeys
) -> None:
    with capture_logs() as logs:
        accepted = accept(batch_intake, tenant, csv(HEADER + rows(5)))

    assert (accepted.batch.status, accepted.batch.total, accepted.batch.rejected) == (BatchStatus.RUNNING, 5, [])
    with database.read() as connection:
        tasks = connection.execute(select(connect_tasks).order_by(connect_tasks.c.batch_row)).all()
    assert [(task.batch_row, task.external_ref) for task in tasks] == [(n, f"ref-{n}") for n in range(1, 6)]
    for task in tasks:
        assert (task.queue, task.status, task.batch_id) == ("connect.bulk", "queued", accepted.batch.id)
        assert task.dispatch_at is not None
        assert task.sweep_at == task.expires_at
        opened = Opener(worker_keys).open(task.sealed_credentials, SealedFor(task.id, tenant.workspace_id))
        assert opened == {"identifier": f"user{task.batch_row}.test", "password": f"canary-{task.batch_row}"}
    assert len({task.fingerprint for task in tasks}) == 5
    assert "canary" not in repr(logs) + repr(accepted)


def test_a_bad_row_is_told_and_holds_no_other_up(batch_intake: BatchIntake, tenant: Tenant) -> None:
    text = (
        f"{HEADER}a.test,x,,1\n"
        "b.test,,,2\n"
        "@A.test,y,,3\n"
        "c.test,x,pr_nobodys,4\n"
        f"b.test,x,{tenant.profile_ids[0]},5\n"
        "did:plc:nobody,x,,6\n"
    )

    batch = accept(batch_intake, tenant, csv(text)).batch

    assert batch.total == 6
    assert [(row.row, row.line, row.external_ref, row.issues[0].code) for row in batch.rejected] == [
        (2, 3, "2", "required"),
        (3, 4, "3", "duplicate_row"),
        (4, 5, "4", "unknown_profile"),
        (6, 7, "6", "invalid_handle"),
    ]
    assert batch.rejected[1].issues[0].message == "Same account as row 1."


def test_a_batch_without_a_good_row_has_ended(batch_intake: BatchIntake, database: Database, tenant: Tenant) -> None:
    batch = accept(batch_intake, tenant, csv(HEADER + ",x,,\n")).batch

    assert batch.status is BatchStatus.FINISHED
    assert Batches(database).get(tenant.caller, batch.id).status is BatchStatus.FINISHED


def test_rows_need_a_profile_where_there_are_several(batch_intake: BatchIntake, database: Database) -> None:
    tenant = make_tenant(database, profiles=2)
    text = f"{HEADER}a.test,x,,\nb.test,x,{tenant.profile_ids[1]},\n"

    batch = accept(batch_intake, tenant, csv(text)).batch

    assert [(row.row, row.issues[0].code) for row in batch.rejected] == [(1, "required")]
    named = Delivery(BatchFormat.CSV, [text.encode()], profile_id=tenant.profile_ids[0])
    assert accept(batch_intake, tenant, named).batch.rejected == []


BAD_FILES = {
    "a wrong encoding": HEADER.encode() + rows(5).encode() + b"\xff,x,,\n",
    "binary": HEADER.encode() + rows(5).encode() + b"\0",
    "a quote that stays open": HEADER.encode() + rows(5).encode() + b'a.test,"x',
    "a huge cell": HEADER.encode() + rows(5).encode() + b"x" * 70_000,
    "a missing column": b"handle\n" + rows(5).encode(),
    "no rows": HEADER.encode(),
    "empty": b"",
}


@pytest.mark.parametrize("body", BAD_FILES.values(), ids=BAD_FILES)
def test_of_a_bad_file_nothing_is_left(
    batch_intake: BatchIntake, database: Database, tenant: Tenant, body: bytes
) -> None:
    before = contents(database)
    with pytest.raises(ValidationFailed) as caught:
        accept(batch_intake, tenant, Delivery(BatchFormat.CSV, [body]), key="k")

    assert contents(database) == before
    assert "canary" not in str(caught.value.describe())


def test_json_that_ends_in_nonsense_leaves_nothing(
    batch_intake: BatchIntake, database: Database, tenant: Tenant
) -> None:
    before = contents(database)
    body = b'{"platform": "bluesky", "items": [' + b'{"handle":"a.test","app_password":"x"},' * 7 + b"], x}"
    with pytest.raises(ValidationFailed):
        accept(batch_intake, tenant, Delivery(BatchFormat.JSON, [body]))

    assert contents(database) == before


def test_who_hangs_up_leaves_nothing_and_nobody_sees_what_arrives(
    batch_intake: BatchIntake, database: Database, tenant: Tenant
) -> None:
    before = contents(database)
    seen: list[dict[str, int]] = []

    def pieces() -> Iterator[bytes]:
        yield (HEADER + rows(5)).encode()
        yield b"user6.test,canary,,\n"
        with database.read() as connection:
            (batch_id,) = connection.execute(select(connect_batches.c.id)).scalars()
        seen.append(contents(database))
        with pytest.raises(NotFound):
            Batches(database).get(tenant.caller, batch_id)
        raise BadRequest("The request ended before its body did.")

    with pytest.raises(BadRequest):
        accept(batch_intake, tenant, Delivery(BatchFormat.CSV, pieces()))

    assert seen[0]["connect_tasks"] == 6
    assert contents(database) == before


def test_what_a_killed_process_has_staged_is_pruned(
    batch_intake: BatchIntake, database: Database, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake._Arriving, "discard", lambda arriving: None)
    with pytest.raises(ValidationFailed):
        accept(batch_intake, tenant, csv(HEADER + rows(4) + 'a.test,"x'))
    assert accept(batch_intake, tenant, csv(HEADER + rows(1))).batch.total == 1
    with database.write() as connection:
        connection.execute(update(connect_batches).values(created_at=from_now(-86_500)))

    with database.write() as connection:
        kinds = retentions(task_seconds=86_400, audit_seconds=90 * 86_400)
        pruned = {one.column: delete_batch(connection, one, limit=10) for one in kinds}

    assert {column: rows for column, rows in pruned.items() if rows} == {connect_batches.c.created_at: 1}
    assert contents(database)["connect_batches"] == 1


def test_a_key_that_comes_again_gets_the_same_answer(
    batch_intake: BatchIntake, database: Database, tenant: Tenant
) -> None:
    body = csv(HEADER + rows(3) + "user1.test,x,,\nuser9.test,,,\n")
    first = accept(batch_intake, tenant, body, key="k")
    before = contents(database)

    again = batch_intake.accept(tenant.caller, body, request_id="req_again", idempotency_key="k")

    assert again == first
    assert [row.row for row in again.batch.rejected] == [4, 5]
    with pytest.raises(IdempotencyKeyReused):
        accept(batch_intake, tenant, csv(HEADER + rows(4)), key="k")
    assert contents(database) == before
    assert accept(batch_intake, make_tenant(database), body, key="k").batch.id != first.batch.id


@pytest.mark.parametrize("is_same", [True, False])
def test_a_key_that_is_used_twice_at_once_makes_one_batch(
    batch_intake: BatchIntake, database: Database, tenant: Tenant, is_same: bool
) -> None:
    both_have_come = threading.Barrier(2, timeout=30)

    def pieces(count: int) -> Iterable[bytes]:
        yield (HEADER + rows(count)).encode()
        both_have_come.wait()

    def send(count: int) -> AcceptedDelivery | IdempotencyKeyReused:
        try:
            return accept(batch_intake, tenant, Delivery(BatchFormat.CSV, pieces(count)), key="k")
        except IdempotencyKeyReused as error:
            return error

    with ThreadPoolExecutor(2) as callers:
        one, other = callers.map(send, [3, 3 if is_same else 4])

    stored = contents(database)
    assert (stored["connect_batches"], stored["idempotency_keys"]) == (1, 1)
    if is_same:
        assert one == other
        assert stored["connect_tasks"] == 3
    else:
        assert {type(one), type(other)} == {AcceptedDelivery, IdempotencyKeyReused}
        assert stored["connect_tasks"] in {3, 4}
