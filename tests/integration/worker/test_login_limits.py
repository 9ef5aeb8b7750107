"""How many failed logins are let through, on a real Valkey."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from threading import Barrier

import pytest
import redis

from connections import errors
from connections.ids import new_id
from connections.rate import Rate
from connections.repository.attempts import ClaimedTask
from tests.servers import free_port, wait_until
from worker.login_limits import LoginLimits
from worker.redis_client import redis_client

ALICE, BOB = "did:plc:alice", "did:plc:bob"


def limits(client: redis.Redis, *, per_account: str = "3/900", per_workspace: str = "100/3600") -> LoginLimits:
    return LoginLimits(client, per_account=Rate.parse(per_account), per_workspace=Rate.parse(per_workspace))


def task(workspace_id: str = "ws_1") -> ClaimedTask:
    now = datetime.now(UTC)
    return ClaimedTask(
        id=new_id("ct"),
        workspace_id=workspace_id,
        profile_id="pr_1",
        platform="bluesky",
        queue="connect",
        request_id="req_1",
        sealed_credentials=b"",
        reply_to=None,
        attempts=1,
        max_attempts=5,
        fence=1,
        created_at=now,
        claimed_at=now,
        expires_at=now,
        caller_waits_until=None,
        batch_id=None,
    )


def log_in(
    limits: LoginLimits, account: str = ALICE, *, workspace_id: str = "ws_1", error: BaseException | None = None
) -> None:
    """One login, which ends with `error` if there is one."""
    with limits.count(task(workspace_id)) as enter:
        enter(account, None)
        if error is not None:
            raise error


def fail(limits: LoginLimits, account: str = ALICE, *, workspace_id: str = "ws_1") -> None:
    with pytest.raises(errors.CredentialsRejected):
        log_in(limits, account, workspace_id=workspace_id, error=errors.CredentialsRejected())


def test_an_account_may_fail_so_often_and_then_waits(client: redis.Redis) -> None:
    some = limits(client)
    for _ in range(3):
        fail(some)

    with pytest.raises(errors.RateLimited, match="this account") as caught:
        log_in(some)
    assert caught.value.retry_after == pytest.approx(900, abs=30)
    log_in(some, BOB)


def test_an_account_is_the_same_in_every_workspace(client: redis.Redis) -> None:
    some = limits(client)
    for workspace in ("ws_1", "ws_2", "ws_3"):
        fail(some, workspace_id=workspace)

    with pytest.raises(errors.RateLimited):
        log_in(some, workspace_id="ws_4")


def test_a_workspace_may_fail_so_often_whatever_the_accounts(client: redis.Redis) -> None:
    some = limits(client, per_workspace="2/3600")
    fail(some, ALICE)
    fail(some, BOB)

    with pytest.raises(errors.RateLimited, match="this workspace"):
        log_in(some, "did:plc:carol")
    log_in(some, "did:plc:carol", workspace_id="ws_2")


def test_a_refusal_by_the_limit_does_not_count(client: redis.Redis) -> None:
    some = limits(client, per_account="1/900", per_workspace="2/3600")
    fail(some, ALICE)
    for _ in range(5):
        with pytest.raises(errors.RateLimited, match="this account"):
            log_in(some, ALICE)

    log_in(some, BOB)


NOT_COUNTED: dict[str, BaseException | None] = {
    "a success": None,
    "a failure of the server": errors.UpstreamFailed(),
    "a rate limit of the platform": errors.UpstreamRateLimited(),
    "a bug": ZeroDivisionError(),
    "an interrupt": KeyboardInterrupt(),
}


@pytest.mark.parametrize("error", NOT_COUNTED.values(), ids=NOT_COUNTED)
def test_does_not_count(client: redis.Redis, error: BaseException | None) -> None:
    some = limits(client, per_account="1/900", per_workspace="1/3600")
    if error is None:
        log_in(some)
    else:
        with pytest.raises(type(error)):
            log_in(some, error=error)

    log_in(some)
    assert client.keys() == []


def test_guesses_sent_all_at_once_are_not_let_through(client: redis.Redis) -> None:
    some = limits(client)
    all_are_entered = Barrier(16)

    def guess() -> type[BaseException]:
        try:
            with some.count(task()) as enter:
                try:
                    enter(ALICE, None)
                finally:
                    all_are_entered.wait(20)
                raise errors.CredentialsRejected
        except errors.ConnectorError as error:
            return type(error)

    with ThreadPoolExecutor(16) as threads:
        answers = [future.result() for future in [threads.submit(guess) for _ in range(16)]]

    assert answers.count(errors.CredentialsRejected) == 3
    assert answers.count(errors.RateLimited) == 13


def test_logins_under_way_hold_others_up_for_no_longer_than_they_last(client: redis.Redis) -> None:
    some = limits(client, per_account="1/900")
    with some.count(task()) as enter:
        enter(ALICE, None)
        with pytest.raises(errors.RateLimited) as caught:
            log_in(some)
    assert caught.value.retry_after == pytest.approx(1, abs=0.1)
    log_in(some)


def test_an_attempt_that_ended_with_its_process_is_forgotten_soon(client: redis.Redis) -> None:
    some = limits(client, per_account="1/900")
    some.count(task()).__enter__()(ALICE, None)
    with pytest.raises(errors.RateLimited):
        log_in(some)
    (entered,) = client.zrange(f"connector:failed-logins:account:bluesky:{ALICE}", 0, -1, withscores=True)
    leaves_in = float(entered[1]) / 1e6 + 900 - time.time()
    assert 0 < leaves_in <= 120


def test_entering_again_counts_once(client: redis.Redis) -> None:
    """An account that has moved is logged in to a second time in the same attempt."""
    some = limits(client, per_account="1/900")
    with some.count(task()) as enter:
        enter(ALICE, None)
        enter(ALICE, None)


def test_failures_are_forgotten_when_their_time_is_over(client: redis.Redis) -> None:
    some = limits(client, per_account="1/1", per_workspace="1/1")
    waits: list[float] = []

    def is_free() -> bool:
        try:
            log_in(some)
        except errors.RateLimited as error:
            waits.append(error.retry_after or 0)
            return False
        return True

    def is_refused_after_a_failure() -> bool:
        fail(some)
        return not is_free()

    wait_until(is_refused_after_a_failure, what="a refusal")  # a slow machine may come too late for the first
    wait_until(is_free, what="the failure to be forgotten")
    assert all(0 < wait <= 1 for wait in waits)
    wait_until(lambda: client.keys() == [], what="its keys to expire")


def test_without_redis_logins_go_on() -> None:
    client = redis_client(f"redis://127.0.0.1:{free_port()}")
    some = limits(client, per_account="1/900")
    fail(some)
    log_in(some)
    client.close()


def test_an_account_is_one_under_its_id_and_its_name(client: redis.Redis) -> None:
    """Who guesses by handle and by DID in turn has no more guesses than anybody else."""
    some = limits(client)

    def guess(*named: str | None) -> None:
        with suppress(errors.CredentialsRejected), some.count(task()) as enter:
            for one in named:
                enter(one, "alice.bsky.social")  # the id is known in the end, if not before the login
            raise errors.CredentialsRejected

    guess(None, ALICE)
    guess(ALICE)
    guess(None, ALICE)
    for external_id in (None, ALICE):
        with pytest.raises(errors.RateLimited), some.count(task()) as enter:
            enter(external_id, "alice.bsky.social")


def test_logins_of_rows_are_taken_out_together_and_failures_stay(client: redis.Redis) -> None:
    some = limits(client, per_account="1/900")
    with some.together():
        for number in range(3):
            log_in(some, f"did:plc:{number}")
        fail(some)
        assert client.zcard("connector:failed-logins:workspace:ws_1") == 4
    assert client.zcard("connector:failed-logins:workspace:ws_1") == 1
    log_in(some, "did:plc:0")
    assert client.zcard("connector:failed-logins:workspace:ws_1") == 1
    with pytest.raises(errors.RateLimited):
        log_in(some)


ACCOUNT_LOG = f"connector:failed-logins:account:bluesky:{ALICE}"
WORKSPACE_LOG = "connector:failed-logins:workspace:ws_1"


class TestRowsOfOneMessage:
    """They are entered at once; nobody may fail more often for it."""

    @staticmethod
    def end(limits: LoginLimits, row: ClaimedTask, name: str) -> None:
        with limits.count(row) as enter:
            enter(None, name)

    @staticmethod
    def guess(limits: LoginLimits, rows: Sequence[tuple[ClaimedTask, str]]) -> int:
        """All with wrong passwords: how many of them were let through to fail."""
        failed = 0
        with limits.together(rows):
            for row, name in rows:
                with suppress(errors.CredentialsRejected, errors.RateLimited), limits.count(row) as enter:
                    enter(None, name)
                    failed += 1
                    raise errors.CredentialsRejected
        return failed

    def test_need_one_entry_for_their_workspace(self, client: redis.Redis) -> None:
        some = limits(client, per_workspace="2/900")
        rows = [(task(), f"{number}.test") for number in range(5)]
        with some.together(rows):
            assert client.zcard(WORKSPACE_LOG) == 1
            for row, name in rows:
                assert client.zcard(f"connector:failed-logins:account:bluesky:{name}") == 1
                self.end(some, row, name)
        assert list(client.scan_iter("connector:failed-logins:*")) == []

    def test_fail_as_often_as_others(self, client: redis.Redis) -> None:
        some = limits(client, per_workspace="3/900")
        rows = [(task(), f"{number}.test") for number in range(5)]
        failed = self.guess(some, rows)
        assert failed <= 3
        assert client.zcard(WORKSPACE_LOG) == failed

    def test_that_name_one_account_fail_as_often_as_others(self, client: redis.Redis) -> None:
        some = limits(client)
        rows = [(task(), ALICE) for _ in range(6)]
        failed = self.guess(some, rows)
        assert failed == 3
        assert client.zcard(ACCOUNT_LOG) == 3
        with pytest.raises(errors.RateLimited):
            log_in(some)

    def test_of_a_full_account_wait_and_the_others_do_not(self, client: redis.Redis) -> None:
        some = limits(client, per_account="1/900")
        fail(some)
        full, free = task(), task()
        with some.together([(full, ALICE), (free, BOB)]):
            with pytest.raises(errors.RateLimited):
                self.end(some, full, ALICE)
            self.end(some, free, BOB)
        assert client.zcard(ACCOUNT_LOG) == 1

    def test_go_on_without_redis(self) -> None:
        nowhere = redis_client("redis://127.0.0.1:1/0")
        some, row = limits(nowhere), task()
        with some.together([(row, ALICE)]):
            self.end(some, row, ALICE)
        nowhere.close()
