"""What is counted while a simulation runs."""

from collections import Counter

from bench.simulate.costs import Sql


class Ledger:
    """Rows by what became of them, commands of Redis by what for, statements and commits by what for."""

    def __init__(self) -> None:
        self.rows = Counter[str]()
        self.by_workspace = Counter[str]()
        self.redis = Counter[str]()
        self.statements = Counter[str]()
        self.commits = Counter[str]()
        self.messages = Counter[str]()
        self.caller_waits: list[float] = []
        self.turns: list[float] = []

    def sql(self, part: str, cost: Sql) -> None:
        self.statements[part] += cost.statements
        self.commits[part] += cost.commits
