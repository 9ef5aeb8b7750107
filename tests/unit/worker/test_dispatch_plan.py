"""What is sent of what waits: within every host's room, and in turns."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.dispatch_plan import (
    ENOUGH_KNOWN,
    UNKNOWN,
    Chunk,
    Sent,
    Waiting,
    chunk_size,
    chunks_under_way,
    is_slow,
    plan,
    room_for,
)
from worker.pacing import Room

HOSTS = ("quick.test", "slow.test", "strange.test")
AT_A_HOST = 16
WORKSPACES = ("ws_1", "ws_2", "ws_3")


def room(requests: float = 100.0, seconds: float | None = 0.1) -> Room:
    return Room(requests=requests, rate=10.0, wait=0.0, seconds=seconds)


def rows_of(chunks: list[Chunk]) -> Counter[tuple[str, str]]:
    """How many rows are picked, by batch and lane."""
    rows = Counter[tuple[str, str]]()
    for chunk in chunks:
        for batch_id, lane, count in chunk.picks:
            rows[batch_id, lane] += count
    return rows


ROOMS = st.fixed_dictionaries(
    {host: st.builds(room, st.floats(0, 60), st.none() | st.floats(0.001, 20)) for host in HOSTS}
)
WAITING = st.lists(
    st.builds(
        lambda batch, lane, due: Waiting(f"cb_{batch}", WORKSPACES[batch % 3], lane, due),
        st.integers(0, 5),
        st.sampled_from((UNKNOWN, *HOSTS)),
        st.integers(1, 300),
    ),
    unique_by=lambda one: (one.batch_id, one.lane),
    max_size=12,
)
SENT = st.lists(
    st.builds(Sent, st.sampled_from(WORKSPACES), st.sampled_from((UNKNOWN, *HOSTS)), st.integers(1, 20)),
    max_size=6,
)
CHUNKS = st.integers(0, 40)
TURNS = st.integers(0, 1000)


@given(WAITING, SENT, ROOMS, CHUNKS, TURNS)
def test_no_limit_is_ever_exceeded(
    waiting: list[Waiting], sent: list[Sent], rooms: dict[str, Room], chunks: int, turn: int
) -> None:
    planned = plan(waiting, sent, rooms, chunks, AT_A_HOST, turn=turn)

    assert len(planned) <= max(0, chunks - chunks_under_way(sent, rooms).total())
    due = {(one.batch_id, one.lane): one.due for one in waiting}
    rows = rows_of(planned)
    assert all(count <= due[key] for key, count in rows.items())
    for host in HOSTS:
        picked = sum(count for (_, lane), count in rows.items() if lane == host)
        before = sum(one.rows for one in sent if one.lane == host)
        most = min(room_for(rooms[host]), 2) if is_slow(rooms[host]) else room_for(rooms[host])
        assert picked <= max(0, most - before)
    for chunk in planned:
        (lane,) = {pick.lane for pick in chunk.picks}
        assert 0 < sum(pick.rows for pick in chunk.picks) <= chunk_size(rooms.get(lane))


@given(WAITING, SENT, ROOMS, CHUNKS, TURNS)
def test_no_workspace_gets_more_than_one_row_more_than_another_that_has_rows_left(
    waiting: list[Waiting], sent: list[Sent], rooms: dict[str, Room], chunks: int, turn: int
) -> None:
    rows = rows_of(plan(waiting, sent, rooms, chunks, AT_A_HOST, turn=turn))
    known = Counter[str]()
    for one in waiting:
        if one.lane != UNKNOWN and not is_slow(rooms[one.lane]):
            known[one.workspace_id] += one.due
    for lane in (UNKNOWN, *HOSTS):
        before, due, given_ = Counter[str](), Counter[str](), Counter[str]()
        for rows_sent in sent:
            before[rows_sent.workspace_id] += rows_sent.rows * (rows_sent.lane == lane)
        for one in waiting:
            if one.lane == lane and not (lane == UNKNOWN and known[one.workspace_id] > ENOUGH_KNOWN):
                due[one.workspace_id] += one.due
                given_[one.workspace_id] += rows[one.batch_id, lane]
        for other in (workspace for workspace in due if given_[workspace] < due[workspace]):
            for workspace in (workspace for workspace in due if given_[workspace]):
                assert before[workspace] + given_[workspace] <= before[other] + given_[other] + 1


@given(WAITING.filter(bool), ROOMS, TURNS)
def test_nothing_starves(waiting: list[Waiting], rooms: dict[str, Room], turn: int) -> None:
    """With a single message at a time, every row that a host has room for is sent in the end."""
    due = {(one.batch_id, one.lane): min(one.due, 5) for one in waiting}
    workspaces = {one.batch_id: one.workspace_id for one in waiting}
    for number in range(turn, turn + 1000):
        left = [Waiting(batch_id, workspaces[batch_id], lane, rows) for (batch_id, lane), rows in due.items() if rows]
        planned = plan(left, [], rooms, 1, AT_A_HOST, turn=number)
        if not planned:
            break
        for key, count in rows_of(planned).items():
            due[key] -= count
    assert {lane for (_, lane), rows in due.items() if rows} <= {h for h in HOSTS if room_for(rooms[h]) == 0}


@given(st.integers(2, 3), TURNS)
def test_lanes_and_workspaces_take_turns_in_one_thread(workspaces: int, turn: int) -> None:
    waiting = [Waiting(f"cb_{number}", f"ws_{number}", host, 50) for number in range(workspaces) for host in HOSTS[:2]]
    rooms = {host: room(seconds=0.9) for host in HOSTS[:2]}
    first = Counter(
        key for n in range(turn, turn + 24) for key in rows_of(plan(waiting, [], rooms, 1, AT_A_HOST, turn=n))
    )
    assert first.total() == 24
    assert {*first} == {(one.batch_id, one.lane) for one in waiting}


def test_a_host_with_little_room_gets_a_row_when_its_turn_is_near() -> None:
    waiting = [Waiting("cb_1", "ws_1", "quick.test", 10)]
    assert rows_of(plan(waiting, [], {"quick.test": room(0.1, seconds=0.0)}, 8, AT_A_HOST, turn=0)).total() == 1
    assert plan(waiting, [], {"quick.test": room(0.0)}, 8, AT_A_HOST, turn=0) == []


@pytest.mark.parametrize("seconds", [None, 3.1, 15.0])
def test_slow_hosts_get_two_rows_each_and_half_of_the_threads(seconds: float | None) -> None:
    slow = [f"slow-{number}.test" for number in range(20)]
    rooms = {"quick.test": room(), **{host: room(seconds=seconds) for host in slow}}
    waiting = [Waiting("cb_1", "ws_1", host, 50) for host in rooms]

    rows = rows_of(plan(waiting, [], rooms, 16, AT_A_HOST, turn=7))
    assert {count for (_, lane), count in rows.items() if lane in slow} <= {1, 2}
    assert sum(count for (_, lane), count in rows.items() if lane in slow) == 8
    assert rows["cb_1", "quick.test"] == 50

    sent = [Sent("ws_1", host, 1) for host in slow[:8]]
    rows = rows_of(plan(waiting, sent, rooms, 16, AT_A_HOST, turn=7))
    assert {lane for _, lane in rows} == {"quick.test"}


def test_rows_are_not_looked_up_while_enough_of_their_workspace_wait_for_a_host() -> None:
    waiting = [
        Waiting("cb_1", "ws_1", "quick.test", ENOUGH_KNOWN + 1),
        Waiting("cb_1", "ws_1", UNKNOWN, 500),
        Waiting("cb_2", "ws_2", UNKNOWN, 500),
    ]
    rooms = {"quick.test": room(0.0), "slow.test": room(0.0, seconds=15.0)}
    assert {batch for batch, lane in rows_of(plan(waiting, [], rooms, 8, AT_A_HOST, turn=0)) if not lane} == {"cb_2"}

    # A host that is slow rather than busy may hold them up for hours.
    slow = [waiting[0]._replace(lane="slow.test"), *waiting[1:]]
    assert {batch for batch, lane in rows_of(plan(slow, [], rooms, 8, AT_A_HOST, turn=0)) if not lane} == {
        "cb_1",
        "cb_2",
    }


def test_a_message_is_about_a_second_of_work() -> None:
    sizes = [chunk_size(room(seconds=seconds)) for seconds in (0.01, 0.1, 0.35, 2.0, None)]
    assert sizes == [16, 10, 2, 1, 1]
    assert chunk_size(None) == 4


def test_the_oldest_batch_of_a_workspace_goes_first() -> None:
    waiting = [Waiting("cb_9", "ws_1", UNKNOWN, 3), Waiting("cb_1", "ws_1", UNKNOWN, 3)]
    assert rows_of(plan(waiting, [], {}, 1, AT_A_HOST, turn=0)) == {("cb_9", UNKNOWN): 3, ("cb_1", UNKNOWN): 1}


def test_rows_of_all_batches_on_their_way_to_a_host_count() -> None:
    waiting = [Waiting("cb_1", "ws_1", "quick.test", 50)]
    sent = [Sent("ws_1", "quick.test", 9), Sent("ws_1", "quick.test", 1)]
    assert plan(waiting, sent, {"quick.test": room(10.0, seconds=0.0)}, 8, AT_A_HOST, turn=0) == []


def test_hundreds_of_hosts_take_turns_although_few_threads_are_free() -> None:
    hosts = [f"host-{number}.test" for number in range(400)]
    waiting = [Waiting("cb_1", "ws_1", host, 50) for host in hosts]
    rooms = {host: room() for host in hosts}
    waits, longest = Counter[str](), 0
    for turn in range(200):
        served = {lane for _, lane in rows_of(plan(waiting, [], rooms, 8, AT_A_HOST, turn=turn))}
        waits = Counter({host: 0 if host in served else waits[host] + 1 for host in hosts})
        longest = max(longest, *waits.values())
    assert longest <= 3 * len(hosts) / 8


def test_a_workspace_at_hundreds_of_hosts_leaves_threads_to_another_at_one() -> None:
    hosts = [f"host-{number}.test" for number in range(400)]
    waiting = [Waiting("cb_1", "ws_1", host, 50) for host in hosts] + [Waiting("cb_2", "ws_2", "quick.test", 50)]
    rooms = {host: room() for host in (*hosts, "quick.test")}
    sent = [Sent("ws_1", host, 1) for host in hosts[:7]]
    for turn in range(50):
        assert {batch for batch, _ in rows_of(plan(waiting, sent, rooms, 8, AT_A_HOST, turn=turn))} == {"cb_2"}


def test_a_pace_is_kept_up_while_answers_take_long() -> None:
    """Rows that are being answered have had their turn already."""
    waiting = [Waiting("cb_1", "ws_1", "quick.test", 100)]
    rooms = {"quick.test": room(15.0, seconds=2.0)}  # ten a second, so twenty are being answered
    assert rows_of(plan(waiting, [Sent("ws_1", "quick.test", 20)], rooms, 64, 64, turn=0)).total() == 15


def test_a_host_gets_no_more_messages_than_it_has_places() -> None:
    waiting = [Waiting("cb_1", "ws_1", "quick.test", 500), Waiting("cb_1", "ws_1", UNKNOWN, 500)]
    sent = [Sent("ws_1", "quick.test", 3 * chunk_size(room()))]
    planned = plan(waiting, sent, {"quick.test": room(1e6)}, 32, 8, turn=0)
    assert Counter(chunk.picks[0].lane for chunk in planned)["quick.test"] == 5
