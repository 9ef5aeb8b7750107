"""A steady stream of callers of all kinds, spread over both API processes."""

import threading
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

from tests.faults.caller import SILENCE_SECONDS, Caller, Told, Way
from tests.faults.fleet import Fleet
from tests.faults.people import Person
from tests.servers import wait_until

COUNT = 300
PER_SECOND = 40.0
DEADLINE_SECONDS = 120.0

# What callers are answered when nothing is the matter.
UNTROUBLED = {"200", "201", "202", "401 UNAUTHORIZED", "422 VALIDATION_ERROR"}


class Load:
    """A context: callers come while it is open, and when it is left without an error, each of them knows its outcome.

    Raises `TimeoutError` when one does not in two minutes.
    """

    def __init__(
        self,
        fleet: Fleet,
        people: Sequence[Person] = (),
        *,
        per_second: float = PER_SECOND,
        silence: float = SILENCE_SECONDS,
    ) -> None:
        """`people` are 300 unless given; `silence` is how many seconds without an answer make a caller hang up."""
        self.tenant = fleet.tenant()
        ways = [*Way]
        people = people or fleet.people(COUNT)
        self.told = [Told(person, ways[number % len(ways)]) for number, person in enumerate(people)]
        self._stopped = threading.Event()
        self._callers = [
            Caller(told, self._order(fleet, number), self.tenant.key, self._stopped, silence)
            for number, told in enumerate(self.told)
        ]
        self._interval = 1 / per_second
        self._threads = ThreadPoolExecutor(len(people), thread_name_prefix="caller")
        self._futures: list[Future[None]] = []
        self._pacer = threading.Thread(target=self._send_all, name="pacer")

    def __enter__(self) -> Self:
        self._pacer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self.until_answered(len(self.told), seconds=DEADLINE_SECONDS)
        finally:
            self._stopped.set()
            self._pacer.join()
            self._threads.shutdown(cancel_futures=True)
        if error is None:
            for future in self._futures:
                future.result()

    @property
    def is_sent(self) -> bool:
        """Whether the last caller has come."""
        return not self._pacer.is_alive()

    @property
    def answers(self) -> Counter[str]:
        """Every answer that any caller has had so far."""
        return sum((told.answers.copy() for told in self.told), Counter())

    def until_answered(self, count: int, *, seconds: float = DEADLINE_SECONDS) -> None:
        """Waits until so many callers know their outcome. Raises `TimeoutError`, or what a caller failed with."""

        def enough() -> bool:
            for future in self._futures:
                if future.done():
                    future.result()
            return sum(bool(told.result) for told in self.told) >= count

        try:
            wait_until(enough, what=f"{count} callers to know their outcome", seconds=seconds)
        except TimeoutError as error:
            error.add_note("\n".join(f"still waits: {told}" for told in self.told if not told.result))
            raise

    def until_told(self, answer: str, count: int) -> None:
        """Waits until there were so many answers such as `503 QUEUE_UNAVAILABLE`."""
        wait_until(lambda: self.answers[answer] >= count, what=f"{count} times {answer}", seconds=DEADLINE_SECONDS)

    def _send_all(self) -> None:
        for caller in self._callers:
            self._futures.append(self._threads.submit(caller.run))
            if self._stopped.wait(self._interval):
                return

    @staticmethod
    def _order(fleet: Fleet, number: int) -> list[str]:
        """Both API processes, for every other caller the other way round."""
        turns = number // len(Way) % 2
        return [*fleet.urls[turns:], *fleet.urls[:turns]]
