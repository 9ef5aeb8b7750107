"""How a database goes about the statements of a call."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Engine, event

# The last is what an empty IN () becomes.
_HARMLESS = ("SCAN over", "SCAN CONSTANT ROW", "SCAN (subquery")


@dataclass(frozen=True, slots=True)
class Plans:
    """What `explained` has found: the text to read, and each line in it that names a scan of a table."""

    text: list[str] = field(default_factory=list)
    scans: list[str] = field(default_factory=list)


@contextmanager
def explained(engine: Engine) -> Iterator[Plans]:
    """Explains every different statement just before it is executed, on the rows that it will meet."""
    plans, seen = Plans(), set[str]()
    explain = {"sqlite": _of_sqlite, "postgresql": _of_postgres}[engine.dialect.name]

    def listen(_c: Any, cursor: Any, statement: str, parameters: Any, _context: Any, is_many: bool) -> None:
        if statement.startswith("BEGIN") or statement in seen:
            return
        seen.add(statement)
        lines = explain(cursor.connection, statement, parameters[0] if is_many else parameters)
        plans.text.extend([_on_one_line(statement), *(f"    {line}" for line in lines), ""])
        steps = (line.strip(" ->").partition(" (actual")[0] for line in lines)
        plans.scans.extend(step for step in steps if _IS_SCAN[engine.dialect.name](step))

    event.listen(engine, "before_cursor_execute", listen)
    try:
        yield plans
    finally:
        event.remove(engine, "before_cursor_execute", listen)


def _of_sqlite(connection: Any, statement: str, parameters: Any) -> list[str]:
    return [str(row[3]) for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)]


def _of_postgres(connection: Any, statement: str, parameters: Any) -> list[str]:
    """With the rows it has read, so it is executed, and taken back."""
    with connection.cursor() as cursor:
        cursor.execute("SAVEPOINT explaining")
        cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS, COSTS OFF) {statement}", parameters)
        lines = [str(row[0]) for row in cursor.fetchall()]
        cursor.execute("ROLLBACK TO explaining")
    return lines


def _on_one_line(statement: str) -> str:
    return " ".join(statement.split())


_IS_SCAN: dict[str, Callable[[str], bool]] = {
    "sqlite": lambda line: line.startswith(("SCAN", "USE TEMP B-TREE")) and not line.startswith(_HARMLESS),
    "postgresql": lambda line: "Seq Scan on" in line,
}
