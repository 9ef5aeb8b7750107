"""Whatever dies while a batch runs: each row has one outcome, the right one, and whoever asks again gets it."""

import contextlib
import csv
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import func, select, text, update

from cli.importing.state import load_state, state_path
from connections.contract import TaskStatus
from connections.models import connect_batches, connect_tasks
from connections.sqltime import from_now
from tests.faults.batch import KEY, PATH, BatchOfPeople, until_answered_with
from tests.faults.fleet import THREADS, WORKERS, Fleet
from tests.faults.orders import Point
from tests.faults.part import Part
from tests.processes import ROOT, frozen
from tests.servers import wait_until
from worker.dispatch_plan import LARGEST_CHUNK

COUNT = 300
# Of a worker's threads at a point; batches have half of all.
HELD = 4


def running(fleet: Fleet, batch: BatchOfPeople) -> int:
    tasks = connect_tasks.c
    query = select(func.count()).where(
        tasks.workspace_id == batch.tenant.workspace_id, tasks.status == TaskStatus.RUNNING
    )
    with fleet.database.read() as connection:
        return connection.execute(query).scalar_one()


def test_workers_killed_again_and_again(fleet: Fleet) -> None:
    """Each time with rows at another point in hand, and with rows that it has a message for and has not begun."""
    kills = [("worker-1", Point.LOGGED_IN), ("worker-2", Point.CLAIMED), ("worker-1", Point.SETTLED)]
    fleet.sandbox.control.login_delay(0.5)
    batch = BatchOfPeople(fleet, COUNT)
    batch.send()
    for worker, point in kills:
        fleet.hold(point, worker, threads=HELD)
        fleet[worker].kill()
        fleet.release(point, worker)
        assert batch.rows_left
        fleet[worker].start()  # the next kill does not wait for it, or the other would finish the batch meanwhile
    batch.prove(repeats=len(kills) * THREADS * LARGEST_CHUNK, once_more=len(kills))


def test_valkey_killed_and_back_empty(fleet: Fleet) -> None:
    """Who asks is answered meanwhile, and whoever sends a batch is, too."""
    batch, other = BatchOfPeople(fleet, COUNT), BatchOfPeople(fleet, 20)
    batch_id = batch.send()
    batch.until_ended(50)
    fleet.valkey.stop()
    wait_until(lambda: running(fleet, batch) == 0, what="what was begun to end")
    assert batch.rows_left
    until_answered_with(batch, 200, batch_id)
    other.send()
    fleet.valkey.start()
    batch.prove(repeats=0, once_more=0)
    other.prove(repeats=0, once_more=0)


def test_postgres_killed_and_back(fleet: Fleet) -> None:
    batch = BatchOfPeople(fleet, COUNT)
    batch_id = batch.send()
    batch.until_ended(50)
    assert fleet.postgres
    fleet.hold(Point.LOGGED_IN, "worker-1", threads=HELD)
    fleet.postgres.kill()
    fleet.release(Point.LOGGED_IN, "worker-1")
    until_answered_with(batch, 503, batch_id)
    fleet.postgres.start()
    batch.prove(repeats=len(WORKERS) * THREADS * LARGEST_CHUNK, once_more=1)


def test_api_killed_while_the_batch_arrives_and_while_its_events_are_read(fleet: Fleet) -> None:
    fleet.sandbox.control.login_delay(0.5)
    # More than are stored at a time, so that some are.
    batch = BatchOfPeople(fleet, COUNT // 2, copies=2500)
    shim, other = fleet["shim-1"], 1
    headers = {"Content-Type": "text/csv", "Idempotency-Key": KEY}
    with batch.client(0) as client, pytest.raises(httpx.TransportError):
        client.post(PATH, content=cut_off(batch, shim), headers=headers)
    (abandoned,) = batch.batch_ids(accepted=False)
    until_not_found(batch, other, abandoned)
    assert claims(fleet, abandoned) == 0

    shim.start()
    fleet.until_ready()
    batch_id = batch.send(other)
    assert batch.send(0) == batch_id
    assert batch.batch_ids(accepted=True) == [batch_id]

    stream = batch.events(0, batch_id)
    first = next(event for event in stream if event.name == "progress")
    shim.kill()
    with pytest.raises(httpx.TransportError):
        list(stream)
    events = list(batch.events(other, batch_id, first.id))
    shim.start()
    fleet.until_ready()

    end_in_time(fleet, abandoned)
    results = batch.prove(repeats=0, once_more=0)
    assert claims(fleet, abandoned) == 0
    progress = [json.loads(event.data) for event in events if event.name == "progress"]
    assert progress[0]["counts"]["connected"] < progress[-1]["counts"]["connected"]
    assert Counter(progress[-1]["counts"]) == Counter(row.status.value for row in results)
    assert events[-1].name == "end"
    assert list(batch.events(0, batch_id, events[-1].id)) == []


def cut_off(batch: BatchOfPeople, shim: Part) -> Iterator[bytes]:
    """The file, but when some of its rows are stored, the API process is gone."""
    yield batch.csv[: len(batch.csv) * 9 // 10]
    wait_until(lambda: batch.rows_left == len(batch.people), what="rows to be stored")
    shim.kill()
    yield batch.csv[len(batch.csv) * 9 // 10 :]


def until_not_found(batch: BatchOfPeople, shim: int, batch_id: str) -> None:
    with batch.client(shim) as client:
        assert client.get(f"{PATH}/{batch_id}").status_code == 404


def claims(fleet: Fleet, batch_id: str) -> int:
    query = select(func.sum(connect_tasks.c.fence)).where(connect_tasks.c.batch_id == batch_id)
    with fleet.database.read() as connection:
        return int(connection.execute(query).scalar_one())


def end_in_time(fleet: Fleet, batch_id: str) -> None:
    """Lets a batch that has not arrived be two days old: its rows are ended, and nobody has begun one."""
    change = update(connect_batches).where(connect_batches.c.id == batch_id)
    with fleet.database.write() as connection:
        connection.execute(change.values(created_at=from_now(-2 * 86400.0)))


class Import:
    """`connector import` of a batch's file, which is killed and gone on with."""

    def __init__(self, fleet: Fleet, batch: BatchOfPeople, directory: Path) -> None:
        self.results = directory / "accounts.results.csv"
        self._directory = directory
        self._file = directory / "accounts.csv"
        self._file.write_bytes(batch.csv)
        self._environment = {**os.environ, "CONNECTOR_URL": fleet.urls[0], "UNIPOST_API_KEY": batch.tenant.key}

    def command(self, *options: str) -> list[str]:
        return [sys.executable, "-m", "cli", "import", str(self._file), "--json", *options]

    @contextlib.contextmanager
    def killed(self, *options: str) -> Iterator[subprocess.Popen[bytes]]:
        """Killed at the end of the block."""
        with (
            (self._directory / "said").open("ab") as said,
            subprocess.Popen(
                self.command(*options), cwd=ROOT, env=self._environment, stdout=said, stderr=said
            ) as process,
        ):
            try:
                yield process
                assert process.poll() in {None, -signal.SIGKILL}, "it has ended by itself"
            finally:
                process.kill()

    def resume(self) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command("--resume"),
            cwd=ROOT,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    @property
    def batch_id(self) -> str | None:
        state = load_state(state_path(self.results))
        return None if state is None else state.batch_id

    @property
    def written(self) -> str:
        """Everything but the file itself."""
        return "".join(path.read_text() for path in self._directory.iterdir() if path != self._file)


@contextlib.contextmanager
def nothing_stored(fleet: Fleet) -> Iterator[None]:
    """Lets an API process wait with the first rows of a batch that it has read."""
    with fleet.database.write() as connection:
        connection.execute(text("LOCK TABLE connect_batch_rejections IN EXCLUSIVE MODE"))
        yield


def waits_for_lock(fleet: Fleet) -> bool:
    """The API with a batch, that is: others may wait for the same table, to prune it."""
    query = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE wait_event_type = 'Lock' AND query LIKE 'INSERT INTO connect_batch_rejections%'"
    )
    with fleet.database.read() as connection:
        return bool(connection.execute(text(query)).scalar_one())


def test_import_killed_while_it_sends_and_while_it_follows(fleet: Fleet, tmp_path: Path) -> None:
    batch = BatchOfPeople(fleet, COUNT)
    importing = Import(fleet, batch, tmp_path)
    fleet.sandbox.control.login_delay(0.5)
    with contextlib.ExitStack() as until_killed:
        with nothing_stored(fleet):
            process = until_killed.enter_context(importing.killed())
            wait_until(lambda: waits_for_lock(fleet), what="the API to store rows")
            until_killed.enter_context(frozen(process.pid))
        wait_until(lambda: batch.batch_ids(accepted=True), what="the batch to be accepted")
        process.kill()  # while it cannot read the answer
    assert importing.batch_id is None
    with importing.killed("--resume"):
        wait_until(lambda: importing.batch_id, what="the import to be accepted")
        batch.until_ended(50)
    assert not importing.results.exists()
    written = importing.written

    finished = importing.resume()

    assert finished.returncode == 2, finished.stderr
    results = batch.prove(repeats=0, once_more=0)
    assert json.loads(finished.stdout)["counts"] == Counter(row.status.value for row in results)
    with importing.results.open(newline="") as stream:
        lines = list(csv.DictReader(stream))
    assert [(line["external_ref"], line["handle"], line["status"]) for line in lines] == [
        (str(number), handle, row.status)
        for number, ((handle, _), row) in enumerate(zip(batch.rows, results, strict=True), 1)
    ]
    assert not state_path(importing.results).exists()
    said = written + importing.written + finished.stdout + finished.stderr
    assert not [secret for secret in batch.secrets if secret in said]
