"""Whatever ends an attempt, its slot is free again."""

import pytest

from connections.contract import TaskStatus
from tests.integration.worker.stack import Stack

THREADS = 4
ENDS = ("exit", "interrupt", "cancel", "memory", "recursion", "thread")


@pytest.mark.parametrize("stage", [(), ("fail to log",)], ids=["logged", "even the logging fails"])
def test_nothing_that_ends_an_attempt_takes_its_slot(stack: Stack, stage: tuple[str, ...]) -> None:
    """Each of these, unless it is contained, takes a slot for good: one more than there are would stop the worker."""
    with stack.staged_worker(*stage, limits={"LEAKED": 1}) as worker:
        for number in range(THREADS + 1):
            for act in ENDS:
                stack.submit(f"{act}-{number}.test")
        waiting = [stack.submit(f"wait-{number}.test") for number in range(THREADS)]
        # All slots at once.
        stack.wait_for(TaskStatus.RUNNING, *waiting)
        stack.tell("go")
        stack.wait_for(TaskStatus.SUCCEEDED, *waiting)
        assert worker.poll() is None
