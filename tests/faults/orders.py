"""What the suite orders of the processes it has started with `tests.faults.entry`: files in a folder.

Files, because both sides see them at once, a killed process leaves them as they were, and nobody has to listen.
"""

import os
from enum import StrEnum
from pathlib import Path

FOLDER = "FAULTS_FOLDER"
NAME = "FAULTS_NAME"


class Point(StrEnum):
    """A moment in an attempt at which a thread can be held."""

    CLAIMED = "claimed"  # before the login
    FAILED = "failed"  # the login has failed for now, the next one is not planned yet
    LOGGED_IN = "logged-in"  # nothing is settled
    REFRESHED = "refreshed"  # a session was replaced at its server, nothing is stored
    SETTLED = "settled"  # nothing is announced, the message not acknowledged


class Delivery(StrEnum):
    """What becomes of messages on their way into the queue."""

    TWICE = "twice"
    LOSSY = "lossy"


class Orders:
    """One folder of orders."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @classmethod
    def of_environment(cls) -> "Orders":
        return cls(Path(os.environ[FOLDER]))

    def clear(self) -> None:
        for file in self._folder.iterdir():
            file.unlink()

    def hold(self, process: str, point: Point) -> None:
        """Whatever thread of the process comes to this point stays there until `release`."""
        (self._folder / f"hold.{process}.{point}").touch()

    def release(self, process: str, point: Point) -> None:
        (self._folder / f"hold.{process}.{point}").unlink(missing_ok=True)

    def is_held(self, process: str, point: Point) -> bool:
        return (self._folder / f"hold.{process}.{point}").exists()

    def report(self, process: str, point: Point, task_id: str) -> None:
        """Says that a thread is held with this task."""
        (self._folder / f"held.{process}.{point}.{task_id}").touch()

    def held(self, process: str, point: Point) -> set[str]:
        """The tasks whose threads were held at this point since the last `clear`."""
        start = f"held.{process}.{point}."
        return {file.name.removeprefix(start) for file in self._folder.glob(start + "*")}

    def set_delivery(self, delivery: Delivery | None) -> None:
        for each in Delivery:
            (self._folder / each).unlink(missing_ok=True)
        if delivery is not None:
            (self._folder / delivery).touch()

    def delivery(self) -> Delivery | None:
        return next((each for each in Delivery if (self._folder / each).exists()), None)

    def set_clock(self, process: str, seconds: float) -> None:
        """Lets the wall clock of a process go wrong by so many seconds from now on."""
        file = self._folder / f"clock.{process}"
        new = file.with_suffix(".new")
        new.write_text(str(seconds))
        new.replace(file)

    def clock(self, process: str) -> float:
        try:
            return float((self._folder / f"clock.{process}").read_text())
        except FileNotFoundError:
            return 0.0
