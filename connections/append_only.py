"""A table whose rows are added and read: its database refuses to change them, whoever asks.

What runs with the rights of the table's owner can take the triggers away. It cannot do so by accident.
"""

from sqlalchemy import DDL, Table, event


def keep_appended(table: Table) -> None:
    """Creates the triggers with the table, which has an `id` and an `at`: the instant at which a row was added.

    A row is deleted once it is older than `audit.KEPT_DAYS`, not before.
    """
    for dialect, statements in _STATEMENTS.items():
        for statement in statements:
            event.listen(table, "after_create", DDL(statement.strip()).execute_if(dialect=dialect))  # type: ignore[no-untyped-call]


# The instants are spelt as `sqltime.from_now` spells them, so that what is due for pruning is never refused.
_STATEMENTS = {
    "sqlite": (
        """
CREATE TRIGGER %(table)s_update BEFORE UPDATE ON %(table)s
BEGIN SELECT RAISE(ABORT, '%(table)s is append-only'); END""",
        """
CREATE TRIGGER %(table)s_delete BEFORE DELETE ON %(table)s
WHEN old.at > strftime('%%Y-%%m-%%d %%H:%%M:%%f', 'now', '-90 days') || '000'
BEGIN SELECT RAISE(ABORT, '%(table)s is append-only'); END""",
        # INSERT OR REPLACE deletes what is in its way and fires no trigger for it.
        """
CREATE TRIGGER %(table)s_replace BEFORE INSERT ON %(table)s
WHEN EXISTS (SELECT 1 FROM %(table)s WHERE id = new.id OR rowid = new.rowid)
BEGIN SELECT RAISE(ABORT, '%(table)s is append-only'); END""",
    ),
    "postgresql": (
        """
CREATE FUNCTION %(table)s_append_only() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION '%(table)s is append-only' USING ERRCODE = 'restrict_violation'; END $$""",
        """
CREATE TRIGGER %(table)s_update BEFORE UPDATE ON %(table)s
FOR EACH STATEMENT EXECUTE FUNCTION %(table)s_append_only()""",
        # 90 days, in hours: where clocks are changed a day is not always as long as another.
        """
CREATE TRIGGER %(table)s_delete BEFORE DELETE ON %(table)s
FOR EACH ROW WHEN (old.at > statement_timestamp() - interval '2160 hours')
EXECUTE FUNCTION %(table)s_append_only()""",
        """
CREATE TRIGGER %(table)s_truncate BEFORE TRUNCATE ON %(table)s
FOR EACH STATEMENT EXECUTE FUNCTION %(table)s_append_only()""",
    ),
}
