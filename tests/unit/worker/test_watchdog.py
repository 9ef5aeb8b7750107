"""What counts as no progress, and for how long."""

import math
from typing import Any, NoReturn

import pytest

from connections.settings import Settings
from worker.running import Run, Running
from worker.watchdog import Kind, Sight, Symptom, aged, limits, outlasting, symptoms

HEALTHY: dict[str, Any] = {
    "running": {},
    "claims": {},
    "accepted": {},
    "has_ticked": True,
    "is_connected": True,
    "redis_answers": True,
    "is_stopping": False,
}


def kinds(**seen: object) -> list[Kind]:
    return sorted(symptom.kind for symptom in symptoms(Sight(**{**HEALTHY, **seen})))


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        ({}, []),
        ({"running": {1: Run(7, "ct_1")}, "accepted": {"ct_1": 100.0}}, [Kind.BUSY]),
        ({"accepted": {"ct_1": 100.0}}, [Kind.LEAKED]),
        ({"running": {1: Run(7, "ct_2")}, "accepted": {"ct_1": 100.0}}, [Kind.BUSY, Kind.LEAKED]),
        ({"has_ticked": False}, [Kind.LOOP_STILL]),
        ({"has_ticked": False, "is_connected": False}, [Kind.UNCONNECTED]),
        ({"is_connected": False}, []),
        ({"has_ticked": False, "redis_answers": False}, []),
        ({"redis_answers": False}, []),
        ({"is_stopping": True, "has_ticked": False, "running": {1: Run(7, "ct_1")}}, [Kind.ENDING]),
    ],
)
def test_what_is_seen(seen: dict[str, object], expected: list[Kind]) -> None:
    assert kinds(**seen) == expected


def test_another_run_or_another_attempt_is_progress() -> None:
    def busy(run: int, fence: int) -> Symptom:
        sight = Sight(**{**HEALTHY, "running": {1: Run(run, "ct_1")}, "claims": {1: ("ct_1", fence)}})
        (symptom,) = symptoms(sight)
        return symptom

    assert busy(1, 1) == busy(1, 1)
    assert len({busy(1, 1), busy(1, 2), busy(2, 1)}) == 3


def test_a_message_taken_again_is_not_the_one_that_leaked() -> None:
    leaked = [symptoms(Sight(**{**HEALTHY, "accepted": {"ct_1": since}})) for since in (100.0, 200.0)]
    assert leaked[0] != leaked[1]


ONE, OTHER = Symptom(Kind.BUSY, "ct_1"), Symptom(Kind.BUSY, "ct_2")


def test_a_symptom_ages_while_it_is_seen_and_begins_anew_when_it_was_gone() -> None:
    ages = aged({}, {ONE}, 3.0)
    assert ages == {ONE: 0.0}
    ages = aged(ages, {ONE, OTHER}, 3.0)
    assert ages == {ONE: 3.0, OTHER: 0.0}
    ages = aged(ages, {OTHER}, 3.0)
    assert aged(ages, {ONE, OTHER}, 3.0) == {ONE: 0.0, OTHER: 6.0}


def test_the_reasons_name_what_lasted_too_long_and_how_long() -> None:
    some = dict.fromkeys(Kind, 10.0)
    assert outlasting({ONE: 10.0, Symptom(Kind.LOOP_STILL): 9.0}, some) == []
    assert outlasting({ONE: 10.5, OTHER: 3.0}, some) == ["busy for 10 s ct_1"]
    assert outlasting({Symptom(Kind.LOOP_STILL): 11.0}, some) == ["event loop still for 11 s"]


def test_every_kind_has_a_limit_beyond_what_is_legitimate(settings: Settings) -> None:
    allowed = limits(settings)
    assert set(allowed) == set(Kind)
    # Attempt, lease and pause; kombu's longest wait between two tries and the longest silence it bears.
    assert allowed[Kind.BUSY] > settings.attempt_seconds + 15 + 2
    assert allowed[Kind.LOOP_STILL] > 30 + 22
    assert allowed[Kind.ENDING] > settings.grace_seconds


def test_that_redis_answers_says_nothing_of_another_broker() -> None:
    assert limits(Settings())[Kind.UNCONNECTED] == limits(Settings())[Kind.LOOP_STILL]
    assert limits(Settings(broker_url="amqp://rabbit"))[Kind.UNCONNECTED] == math.inf


def test_a_run_is_registered_while_it_runs_however_it_ends() -> None:
    running = Running()

    def end() -> NoReturn:
        with running.entered("ct_1"):
            seen.extend(running.by_thread().values())
            raise KeyboardInterrupt

    seen: list[Run] = []
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            end()
        assert not running

    assert [run.task_id for run in seen] == ["ct_1", "ct_1"]
    assert seen[0] != seen[1]
