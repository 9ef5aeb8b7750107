"""One task from claim to settled, against a platform that fails as ordered. On SQLite and on Postgres."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
from sqlalchemy import func, select, update

from connections import errors
from connections.contract import ErrorBody, ErrorSource, RetryState, TaskStatus, Temporality
from connections.db import Database
from connections.messages import Queue
from connections.models import accounts, connect_tasks
from connections.outcome import Outcome
from connections.rate import Rate
from connections.repository.attempts import ClaimedTask
from connections.repository.tasks import TaskRow
from connections.service import ConnectService
from connections.settings import Settings
from connections.settlement import Settlement
from connections.sqltime import from_now
from connections.vault import Opener, Sealer, TokenCipher, WorkerKeys
from connections.verified import VerifiedAccount
from tests.factories import FakePlatform, NoLoginLimits, Tenant, connect_command, fail_with, make_tenant, verified
from tests.servers import Valkey
from worker.announce import Announcer
from worker.login_limits import LoginLimits
from worker.perform import SHORT_WAIT_SECONDS, Performer
from worker.redis_client import redis_client
from worker.sweep import Sweeper


class Announcements(Announcer):
    """Keeps what would be published."""

    def __init__(self) -> None:
        self.settled_tasks: list[tuple[str, str | None]] = []

    def settled(self, task_id: str, reply_to: str | None) -> None:
        self.settled_tasks.append((task_id, reply_to))


class Bench:
    """A workspace, the API's service and one worker, without the processes around them."""

    def __init__(self, database: Database, keys: WorkerKeys, settings: Settings) -> None:
        self.database = database
        self.settings = settings
        self.tenant: Tenant = make_tenant(database)
        self.service = ConnectService(database, Sealer(keys.for_shim()), settings)
        self.settlement = Settlement(database, Opener(keys), TokenCipher(keys), lease_seconds=30)
        self.announcements = Announcements()
        self.login_limits: LoginLimits = NoLoginLimits()
        self.pauses: list[float] = []
        self.is_stopping = False

    def accept(self, *, wait: float = 25, identifier: str = "alice.test") -> str:
        command = connect_command(identifier)
        return self.service.accept(
            self.tenant.caller, command, request_id="req_1", reply_to="shim_1", wait=wait
        ).task_id

    def perform(self, task_id: str, platform: FakePlatform) -> TaskRow:
        performer = Performer(
            self.settlement,
            {"bluesky": platform},
            self.announcements,
            self.login_limits,
            attempt_seconds=5,
            is_stopping=lambda: self.is_stopping,
            uniform=lambda _low, high: high,
            pause=self._pause,
        )
        performer.perform(task_id)
        return self.service.task(self.tenant.caller, task_id)

    def _pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.pass_time("available_at")

    def pass_time(self, *columns: str) -> None:
        with self.database.write() as connection:
            connection.execute(update(connect_tasks).values(dict.fromkeys(columns, from_now(-1))))

    def count_accounts(self) -> int | None:
        with self.database.read() as connection:
            return connection.execute(select(func.count()).select_from(accounts)).scalar()


@pytest.fixture
def bench(database: Database, worker_keys: WorkerKeys, settings: Settings) -> Bench:
    return Bench(database, worker_keys, settings)


def error_of(task: TaskRow) -> ErrorBody:
    error = Outcome.from_row(task.outcome).error
    assert error is not None
    return error


def test_a_good_login_connects_the_account_and_announces_it(bench: Bench) -> None:
    task_id = bench.accept()
    platform = FakePlatform([verified()])
    task = bench.perform(task_id, platform)

    assert (task.status, task.attempts) == (TaskStatus.SUCCEEDED, 1)
    assert (platform.seen[0].identifier, platform.seen[0].password) == ("alice.test", "correct")
    assert bench.announcements.settled_tasks == [(task_id, "shim_1")]
    assert platform.ended == []


REFUSALS = [
    errors.CredentialsRejected(),
    errors.InvalidHandle(),
    errors.HandleNotFound(),
    errors.HandleMismatch(),
    errors.IdentityUnusable(),
    errors.HostNotAllowed(),
    errors.MainPasswordRejected(),
    errors.AccountUnavailable(),
]


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda error: type(error).__name__)
def test_a_refusal_ends_the_task_at_once(bench: Bench, refusal: errors.Refusal) -> None:
    task_id = bench.accept()
    platform = fail_with(refusal)
    task = bench.perform(task_id, platform)

    assert (task.status, len(platform.seen), bench.pauses) == (TaskStatus.FAILED, 1, [])
    assert error_of(task) == refusal.describe()
    assert bench.announcements.settled_tasks == [(task_id, "shim_1")]


def test_a_hiccup_is_retried_within_the_same_call(bench: Bench) -> None:
    platform = FakePlatform([errors.UpstreamFailed(), errors.UpstreamFailed(), verified()])
    task = bench.perform(bench.accept(), platform)

    assert (task.status, task.attempts, bench.pauses) == (TaskStatus.SUCCEEDED, 3, [0.25, 0.5])


def test_a_failure_that_lasts_ends_with_its_retry_policy(bench: Bench) -> None:
    task = bench.perform(bench.accept(), fail_with(errors.UpstreamFailed()))
    policy = error_of(task).retry_policy

    assert (task.status, error_of(task).code) == (TaskStatus.FAILED, "UPSTREAM_ERROR")
    assert policy is not None
    assert (policy.will_retry, policy.retry_state) == (False, RetryState.EXHAUSTED)
    assert policy.attempts_made == policy.max_attempts == task.attempts == len(bench.pauses) + 1
    assert policy.manual_retry_allowed


def test_a_long_wait_leaves_no_thread_behind_only_a_date(bench: Bench) -> None:
    task_id = bench.accept(wait=0)
    task = bench.perform(task_id, fail_with(errors.UpstreamRateLimited(retry_after=40)))
    error = error_of(task)

    assert (task.status, bench.pauses) == (TaskStatus.RETRYING, [])
    assert error.code == "UPSTREAM_RATE_LIMITED"
    assert error.retry_policy is not None
    assert error.retry_policy.will_retry
    assert error.retry_policy.next_run_at is not None
    assert 39 < (task.available_at - task.created_at).total_seconds() < 45
    assert bench.announcements.settled_tasks == []


def test_a_short_wait_is_one_that_a_caller_can_bear() -> None:
    assert SHORT_WAIT_SECONDS <= 2


def test_a_rate_limit_that_outlasts_the_caller_is_told_at_once(bench: Bench) -> None:
    task = bench.perform(bench.accept(wait=25), fail_with(errors.UpstreamRateLimited(retry_after=40)))

    assert (task.status, task.attempts) == (TaskStatus.FAILED, 1)
    assert error_of(task).code == "UPSTREAM_RATE_LIMITED"
    assert Outcome.from_row(task.outcome).retry_at is not None


@pytest.mark.parametrize(("batch_id", "logins"), [(None, 1), ("cb_1", 0)])
def test_a_second_connect_is_refused_and_costs_a_row_of_many_no_login(
    bench: Bench, batch_id: str | None, logins: int
) -> None:
    bench.perform(bench.accept(), FakePlatform([verified()]))
    task_id = bench.accept(identifier="alice-again.test")
    with bench.database.write() as connection:
        connection.execute(update(connect_tasks).where(connect_tasks.c.id == task_id).values(batch_id=batch_id))
    again = FakePlatform([verified()])
    task = bench.perform(task_id, again)

    assert error_of(task).code == "ACCOUNT_ALREADY_CONNECTED"
    assert "alice.test" in error_of(task).message
    assert again.ended == [verified()] * logins
    assert bench.count_accounts() == 1


def test_a_wrong_password_is_told_even_when_the_account_is_connected(bench: Bench) -> None:
    bench.perform(bench.accept(), FakePlatform([verified()]))
    task = bench.perform(bench.accept(identifier="alice-again.test"), fail_with(errors.CredentialsRejected()))

    assert error_of(task).code == "UNAUTHORIZED"


@pytest.mark.parametrize(
    ("limited", "code"),
    [(verified().external_id, "ACCOUNT_ALREADY_CONNECTED"), ("did:plc:another", "UPSTREAM_RATE_LIMITED")],
)
def test_that_an_account_is_connected_can_be_told_without_a_login(bench: Bench, limited: str, code: str) -> None:
    bench.perform(bench.accept(), FakePlatform([verified()]))
    full = FakePlatform([errors.OutOfBudget(retry_after=200)], failing_account=limited)
    task = bench.perform(bench.accept(identifier="alice-again.test"), full)

    assert (task.status, error_of(task).code) == (TaskStatus.FAILED, code)


class RacedPlatform(FakePlatform):
    """Another worker connects the same account while this one logs in."""

    def __init__(self, meanwhile: Callable[[], object]) -> None:
        super().__init__([verified()])
        self._meanwhile = meanwhile

    def connect(self, *arguments: object, **named: object) -> object:  # type: ignore[override]
        account = super().connect(*arguments, **named)  # type: ignore[arg-type]
        self._meanwhile()
        return account


def test_the_loser_of_a_race_ends_its_session(bench: Bench) -> None:
    winner = bench.accept(identifier="also-alice.test")
    loser = RacedPlatform(lambda: bench.perform(winner, FakePlatform([verified()])))
    task = bench.perform(bench.accept(), loser)

    assert error_of(task).code == "ACCOUNT_ALREADY_CONNECTED"
    assert loser.ended == [verified()]
    assert bench.count_accounts() == 1


def test_a_worker_that_lost_its_lease_leaves_the_outcome_to_the_other(bench: Bench) -> None:
    task_id = bench.accept()

    def taken_over() -> None:
        bench.pass_time("available_at")
        bench.perform(task_id, fail_with(errors.CredentialsRejected()))

    slow = RacedPlatform(taken_over)
    task = bench.perform(task_id, slow)

    assert (task.status, error_of(task).code) == (TaskStatus.FAILED, "UNAUTHORIZED")
    assert slow.ended == [verified()]
    assert bench.count_accounts() == 0


def test_a_bug_ends_the_task_with_a_generic_error(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    task = bench.perform(bench.accept(), FakePlatform([RuntimeError("secret inner state")]))

    assert (task.status, error_of(task).code) == (TaskStatus.FAILED, "INTERNAL_ERROR")
    assert "secret" not in error_of(task).model_dump_json()
    assert error_of(task).error_source is ErrorSource.UNIPOST
    assert "connect_crashed" in capsys.readouterr().out


def test_credentials_under_a_key_that_is_yet_to_come_wait_for_it(bench: Bench, worker_keys: WorkerKeys) -> None:
    """The API has the new key before this worker has it: as long as the task lives, and at no attempt's cost."""
    rotated = worker_keys.rotated(now=datetime.now(UTC))
    held = [worker_keys]

    class Arriving:
        def latest(self) -> WorkerKeys:
            return held[0]

        refreshed = latest

    bench.service = ConnectService(bench.database, Sealer(rotated.for_shim()), bench.settings)
    bench.settlement = Settlement(bench.database, Opener(Arriving()), TokenCipher(Arriving()), lease_seconds=30)
    platform = FakePlatform([verified()])
    task_id = bench.accept()
    for _ in range(20):
        task = bench.perform(task_id, platform)
        assert (task.status, task.attempts, error_of(task).code) == (TaskStatus.RETRYING, 0, "SERVICE_UNAVAILABLE")
        assert error_of(task).error_temporality is Temporality.TEMPORARY
        bench.pass_time("available_at")
    assert bench.pauses == []
    assert platform.seen == []

    held[0] = rotated
    assert bench.perform(task_id, platform).status is TaskStatus.SUCCEEDED


def test_damaged_credentials_wait_for_nothing(bench: Bench) -> None:
    task_id = bench.accept()
    with bench.database.write() as connection:
        connection.execute(update(connect_tasks).values(sealed_credentials=b"s1.damaged"))
    task = bench.perform(task_id, FakePlatform([verified()]))

    assert (task.status, error_of(task).code) == (TaskStatus.FAILED, "INTERNAL_ERROR")


def test_performing_a_settled_task_again_does_nothing(bench: Bench) -> None:
    task_id = bench.accept()
    first = bench.perform(task_id, FakePlatform([verified()]))
    again = fail_with(errors.CredentialsRejected())

    assert bench.perform(task_id, again) == first
    assert again.seen == []


def test_a_message_without_a_row_does_nothing(bench: Bench) -> None:
    platform = FakePlatform([verified()])
    with pytest.raises(errors.NotFound):
        bench.perform("ct_nowhere", platform)

    assert platform.seen == []


def test_a_task_that_comes_too_late_is_expired_and_not_tried(bench: Bench) -> None:
    task_id = bench.accept()
    bench.pass_time("expires_at")
    platform = FakePlatform([verified()])
    task = bench.perform(task_id, platform)

    assert (task.status, error_of(task).code) == (TaskStatus.EXPIRED, "CONNECT_TIMEOUT")
    assert platform.seen == []


def test_the_sweep_sends_what_was_lost_and_announces_what_expired(bench: Bench) -> None:
    lost, expired = bench.accept(), bench.accept(identifier="bob.test")
    bench.pass_time("sweep_at")
    with bench.database.write() as connection:
        late = update(connect_tasks).where(connect_tasks.c.id == expired).values(expires_at=from_now(-1))
        connection.execute(late)
    sent: list[tuple[str, Queue]] = []
    sweeper = Sweeper(bench.settlement, bench.announcements, lambda *message: sent.append(message))
    sweeper.sweep()
    sweeper.sweep()

    assert sent == [(lost, Queue.CONNECT)]
    assert bench.announcements.settled_tasks == [(expired, "shim_1")]
    assert error_of(bench.service.task(bench.tenant.caller, expired)).code == "CONNECT_TIMEOUT"


def test_a_queue_that_is_away_stops_the_sweep_not_the_worker(bench: Bench) -> None:
    bench.accept()
    bench.pass_time("sweep_at")

    def unavailable(_task_id: str, _queue: Queue) -> None:
        raise errors.QueueUnavailable

    Sweeper(bench.settlement, bench.announcements, unavailable).sweep()


class BlinkingSettlement:
    """Loses the database for one call, before or after it took effect."""

    def __init__(self, bench: Bench, *, after: bool) -> None:
        self._settlement = bench.settlement
        self._after = after
        self._has_blinked = False

    def __getattr__(self, name: str) -> object:
        return getattr(self._settlement, name)

    def succeed(self, task: ClaimedTask, account: VerifiedAccount) -> bool:
        if self._has_blinked:
            return self._settlement.succeed(task, account)
        self._has_blinked = True
        if self._after:
            self._settlement.succeed(task, account)
        raise errors.ServiceUnavailable


@pytest.mark.parametrize("after", [False, True], ids=["before the commit", "before its confirmation"])
def test_a_database_that_blinks_costs_neither_an_attempt_nor_a_live_session(bench: Bench, after: bool) -> None:
    bench.settlement = BlinkingSettlement(bench, after=after)  # type: ignore[assignment]
    platform = FakePlatform([verified()])
    task = bench.perform(bench.accept(), platform)

    assert (task.status, task.attempts, len(platform.seen)) == (TaskStatus.SUCCEEDED, 1, 1)
    assert bench.count_accounts() == 1
    assert platform.ended == []


def test_a_worker_that_is_to_stop_begins_no_further_attempt(bench: Bench) -> None:
    bench.is_stopping = True
    task = bench.perform(bench.accept(), fail_with(errors.UpstreamFailed()))

    assert (task.status, task.attempts, bench.pauses) == (TaskStatus.RETRYING, 1, [])


@pytest.fixture
def limited(bench: Bench, valkey: Valkey) -> Iterator[Bench]:
    """Two failed logins to an account and no more."""
    client = redis_client(valkey.url)
    client.flushall()
    bench.login_limits = LoginLimits(client, per_account=Rate(2, 900), per_workspace=Rate(100, 900))
    yield bench
    client.close()


def wrong_password() -> FakePlatform:
    return FakePlatform([errors.CredentialsRejected()], failing_account="did:plc:alice")


def test_who_guesses_passwords_is_told_to_wait(limited: Bench) -> None:
    guesses = [error_of(limited.perform(limited.accept(), wrong_password())) for _ in range(3)]

    assert [guess.code for guess in guesses] == ["UNAUTHORIZED", "UNAUTHORIZED", "RATE_LIMITED"]
    assert guesses[2].error_source is ErrorSource.UNIPOST
    assert guesses[2].is_retriable
    assert guesses[2].retry_policy is not None
    assert guesses[2].retry_policy.manual_retry_allowed


def test_a_caller_who_polls_waits_the_limit_out(limited: Bench) -> None:
    for _ in range(2):
        limited.perform(limited.accept(), wrong_password())
    right = FakePlatform([verified()])
    task = limited.perform(limited.accept(wait=0), right)

    assert (task.status, error_of(task).code, task.attempts) == (TaskStatus.RETRYING, "RATE_LIMITED", 0)
    assert 890 < (task.available_at - task.created_at).total_seconds() < 905


def test_a_host_that_fails_for_everyone_costs_its_callers_no_attempt(bench: Bench) -> None:
    polled = bench.perform(bench.accept(wait=0), fail_with(errors.HostFailing(retry_after=5)))
    waited_for = bench.perform(bench.accept(identifier="bob.test"), fail_with(errors.HostFailing(retry_after=1)))
    policy = error_of(waited_for).retry_policy

    assert (polled.status, polled.attempts, bench.pauses) == (TaskStatus.RETRYING, 0, [])
    assert (waited_for.status, error_of(waited_for).code) == (TaskStatus.FAILED, "UPSTREAM_ERROR")
    assert policy is not None
    assert (policy.attempts_made, policy.reason) == (0, "a server that is needed is failing for everyone")


def test_a_task_that_ends_every_process_it_meets_is_given_up(bench: Bench) -> None:
    task_id = bench.accept()
    most = bench.service.task(bench.tenant.caller, task_id).max_attempts
    for _ in range(most):  # claimed, and never heard of again
        assert bench.settlement.claim(task_id)
        bench.pass_time("available_at")
    platform = FakePlatform([verified()])
    task = bench.perform(task_id, platform)

    assert (task.status, error_of(task).code, platform.seen) == (TaskStatus.FAILED, "INTERNAL_ERROR", [])
