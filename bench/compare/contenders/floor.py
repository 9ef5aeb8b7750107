"""httpx in threads: no queue, no HTTP in front, and the process that wants the accounts connects them itself."""

from bench.compare.caller import ThreadCaller
from bench.compare.job import Bluesky, Job, Login


class Floor(ThreadCaller[None]):
    def __init__(self) -> None:
        super().__init__()
        self._bluesky = Bluesky(Job.from_environment())

    def send(self, login: Login) -> None:
        self._bluesky.connect(login.identifier, login.password)

    def wait(self, ticket: None) -> None:
        """It has been done."""


open_caller = Floor
