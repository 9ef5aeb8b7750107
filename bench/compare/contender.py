"""What a contender is: which processes do the job, who calls them, and what they promise."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Literal

from bench.compare.job import Clients
from bench.compare.place import Place
from bench.compare.upstream import Identifier

API = "API"
PORT = "PORT"

Family = Literal["no queue", "library", "Connector"]


@dataclass(frozen=True, slots=True)
class Promises:
    """`durable`: whether an accepted job outlives every process and an emptied Redis. `again`: whether a job is done
    again whose worker was killed in the middle, as it comes. `keeps`: where the result is, and how."""

    durable: str
    again: str
    keeps: str


Prepare = Callable[[Place, ExitStack], Mapping[str, str]]
"""Makes what the processes need, undone by the stack, and gives the variables that lead them there."""


@dataclass(frozen=True, slots=True, eq=False)
class Contender:
    """`jobs` are the processes that do the job, by the part of it, each the arguments of `python -m`; the caller itself
    if there are none. `beside` are further ones. `module` has the caller. `PORT` in arguments is the API's.

    `in_turns`: whether there are callers who wait for each. `at_once`: whether many can be sent before any has ended.
    """

    name: str
    family: Family
    module: str
    promises: Promises
    jobs: Mapping[str, list[str]]
    beside: Mapping[str, list[str]] = field(default_factory=dict)
    clients: Clients = Clients.PER_SLOT
    identifier: Identifier = Identifier.HOSTED_HANDLE
    prepare: Prepare | None = None
    in_turns: bool = True
    at_once: bool = False

    @property
    def has_api(self) -> bool:
        return API in self.jobs

    def commands(self, port: int) -> dict[str, list[str]]:
        """Of all processes, by their names."""
        return {
            name: [str(port) if argument == PORT else argument for argument in command]
            for name, command in {**self.jobs, **self.beside}.items()
        }
