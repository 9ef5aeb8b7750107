"""Fills the tables by SQL that makes its own rows, a million in less than a minute."""

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection, create_engine, text

from connections.db import Database

BATCHES = 20
LANES = 5
POLLED = 500
SEED_SECONDS = 1800.0


@dataclass(frozen=True, slots=True)
class Size:
    """How many rows there are to be.

    `waiting` rows belong to the open `batches` and wait for the dispatcher, spread evenly over them and their `lanes`;
    `queued` are single requests in flight; `ended` tasks ended during the last 30 days, half of them in batches.
    """

    workspaces: int
    accounts: int
    ended: int
    queued: int
    waiting: int
    batches: int = BATCHES
    lanes: int = LANES

    @property
    def tasks(self) -> int:
        return self.ended + self.queued + self.waiting


# What the measured calls work on is in both: 500 single requests, and 8 rows in each lane of 20 open batches.
EMPTY = Size(workspaces=1, accounts=0, ended=0, queued=POLLED, waiting=8 * BATCHES * LANES)
FULL = Size(workspaces=10_000, accounts=1_000_000, ended=900_000, queued=40_000, waiting=60_000)


def queued_id(number: int) -> str:
    return f"ct_queued{number:020d}"


def batch_id(number: int) -> str:
    return f"cb_open{number:022d}"


def lane(number: int) -> str:
    """The first is that of rows which nobody has looked up yet."""
    return f"pds{number}.test" if number else ""


def fill(database: Database, size: Size) -> None:
    """One transaction for each kind of row, and the statistics that Postgres would gather by itself in time.

    SQLite never gathers any, so it has none here either.
    """
    is_postgres = database.engine.dialect.name == "postgresql"
    sql = _POSTGRES if is_postgres else _SQLITE
    for insert in (_workspaces, _accounts, _ended, _queued, _waiting):
        with database.write() as connection:
            if is_postgres:
                connection.execute(text("SET LOCAL statement_timeout = 0"))
            insert(connection, size, sql)
    if is_postgres:
        # The product's own connections are not that patient.
        engine = create_engine(database.engine.url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text("VACUUM ANALYZE"))
        engine.dispose()


@dataclass(frozen=True, slots=True)
class _Sql:
    """What the databases say differently. Arguments are SQL expressions; `ago` takes seconds."""

    ago: Callable[[str], str]
    digest: Callable[[str], str]
    padded: Callable[[str, int], str]
    secret: Callable[[int], str]


_SQLITE = _Sql(
    ago=lambda seconds: f"(strftime('%Y-%m-%d %H:%M:%f', 'now', -({seconds}) || ' seconds') || '000')",
    digest=lambda number: f"CAST(printf('%032d', {number}) AS BLOB)",
    padded=lambda number, width: f"printf('%0{width}d', {number})",
    secret=lambda size: f"CAST('key1.' || hex(zeroblob({size // 2})) AS BLOB)",
)
_POSTGRES = _Sql(
    ago=lambda seconds: f"(statement_timestamp() - make_interval(secs => ({seconds})))",
    digest=lambda number: f"decode(lpad(to_hex({number}), 64, '0'), 'hex')",
    padded=lambda number, width: f"lpad(({number})::text, {width}, '0')",
    # Random, or it would be compressed to nothing.
    secret=lambda size: (
        f"decode(substr(repeat(md5(n::text) || md5((-n)::text), {size // 32 + 1}), 1, {2 * size}), 'hex')"
    ),
)

_DAY = 86400


def _insert(connection: Connection, table: str, values: dict[str, str], rows: int) -> None:
    """Row number `n` has these values, which are SQL expressions."""
    if rows:
        connection.execute(
            text(
                f"""
                INSERT INTO {table} ({", ".join(values)})
                WITH RECURSIVE series (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM series WHERE n + 1 < {rows})
                SELECT {", ".join(values.values())} FROM series
            """.replace(":", r"\:")
            )
        )


def _workspaces(connection: Connection, size: Size, sql: _Sql) -> None:
    now = sql.ago("0")
    number = sql.padded("n", 20)
    of_workspace = {"name": "'Acme ' || n", "created_at": now}
    _insert(connection, "workspaces", {"id": f"'ws_' || {number}", **of_workspace}, size.workspaces)
    belongs = {"workspace_id": f"'ws_' || {number}", **of_workspace}
    _insert(connection, "profiles", {"id": f"'pr_' || {number}", **belongs}, size.workspaces)
    keys = {
        "id": f"'key_' || {number}",
        "prefix": f"'up_test_' || {sql.padded('n', 8)}",
        "secret_hash": sql.digest("n"),
    }
    _insert(connection, "api_keys", keys | belongs, size.workspaces)


def _accounts(connection: Connection, size: Size, sql: _Sql) -> None:
    number = sql.padded("n", 20)
    values = {
        "id": f"'sa_' || {number}",
        **_owner(f"n / {max(1, size.accounts // size.workspaces)}", sql),
        "platform": "'bluesky'",
        "external_id": f"'did:plc:' || {sql.padded('n', 24)}",
        "account_name": "'person' || n || '.bsky.social'",
        "host": "'https://pds' || (n % 50) || '.host.bsky.network'",
        "status": "CASE n % 10 WHEN 0 THEN 'disconnected' ELSE 'active' END",
        "connection_type": "'byo'",
        "access_token": sql.secret(220),
        "refresh_token": sql.secret(260),
        "token_key": "'t1'",
        "connected_at": sql.ago("n"),
    }
    _insert(connection, "accounts", values, size.accounts)


def _ended(connection: Connection, size: Size, sql: _Sql) -> None:
    """Every second one in a batch of 200 rows."""
    when = sql.ago(f"30.0 * {_DAY} * ({size.ended} - n) / {size.ended or 1}")
    account = """'{"account": {"id": "sa_01jd2w8v70e3g5j7m9q1s3v5x7", "profile_id": "pr_01jd2w4k1c8e0g2j4m6p8r0t2v",
        "platform": "bluesky", "account_name": "alice.bsky.social", "status": "active", "connection_type": "byo",
        "connected_at": "2026-11-23T10:00:00.123Z", "external_account_id": "did:plc:ewvi7nxzyoun6zhxrhs64oiz"}}'"""
    values = {
        "id": f"'ct_0' || {sql.padded('n', 25)}",
        **_owner(f"n % {size.workspaces}", sql),
        **_task(sql, queue="CASE n % 2 WHEN 1 THEN 'connect.bulk' ELSE 'connect' END", status="'succeeded'"),
        "attempts": "1",
        "fingerprint": "''",
        **dict.fromkeys(("available_at", "sweep_at", "expires_at", "created_at", "finished_at"), when),
        "outcome": account,
        "batch_id": f"CASE n % 2 WHEN 1 THEN 'cb_0' || {sql.padded('n / 400', 25)} END",
        "batch_row": "CASE n % 2 WHEN 1 THEN n % 400 / 2 END",
    }
    _insert(connection, "connect_tasks", values, size.ended)
    batches = {
        "id": f"'cb_0' || {sql.padded('n', 25)}",
        "workspace_id": f"'ws_' || {sql.padded('0', 20)}",
        **dict.fromkeys(("created_at", "accepted_at", "finished_at"), sql.ago(str(_DAY))),
        **_batch(200),
    }
    _insert(connection, "connect_batches", batches, size.ended // 400)


def _queued(connection: Connection, size: Size, sql: _Sql) -> None:
    """Their messages are on their way, so the sweep has nothing to do yet."""
    values = {
        "id": f"'ct_queued' || {sql.padded('n', 20)}",
        **_owner(f"n % {size.workspaces}", sql),
        **_task(sql, queue="'connect'", status="'queued'"),
        **_open(sql),
        "sweep_at": sql.ago(f"-{_DAY} - n"),
    }
    _insert(connection, "connect_tasks", values, size.queued)


def _waiting(connection: Connection, size: Size, sql: _Sql) -> None:
    batches = {
        "id": f"'cb_open' || {sql.padded('n', 22)}",
        "workspace_id": f"'ws_' || {sql.padded('0', 20)}",
        **dict.fromkeys(("created_at", "accepted_at"), sql.ago("60")),
        **_batch(size.waiting // size.batches),
    }
    _insert(connection, "connect_batches", batches, size.batches)
    lane_number = f"(n / {size.batches} % {size.lanes})"
    values = {
        "id": f"'ct_waiting' || {sql.padded('n', 19)}",
        **_owner("0", sql),
        **_task(sql, queue="'connect.bulk'", status="'queued'"),
        **_open(sql, fingerprint=f"n + {size.queued}"),
        "sweep_at": sql.ago(f"-2 * {_DAY}"),
        "batch_id": f"'cb_open' || {sql.padded(f'n % {size.batches}', 22)}",
        "batch_row": f"n / {size.batches}",
        "lane": f"CASE {lane_number} WHEN 0 THEN '' ELSE 'pds' || {lane_number} || '.test' END",
        "dispatch_at": sql.ago("60"),
    }
    _insert(connection, "connect_tasks", values, size.waiting)


def _owner(workspace: str, sql: _Sql) -> dict[str, str]:
    number = sql.padded(workspace, 20)
    return {"workspace_id": f"'ws_' || {number}", "profile_id": f"'pr_' || {number}"}


def _task(sql: _Sql, *, queue: str, status: str) -> dict[str, str]:
    return {
        "platform": "'bluesky'",
        "request_id": f"'req_0' || {sql.padded('n', 25)}",
        "queue": queue,
        "status": status,
        "max_attempts": "12",
        "fence": "0",
        "sweeps": "0",
    }


def _open(sql: _Sql, fingerprint: str = "n") -> dict[str, str]:
    return {
        "attempts": "0",
        "sealed_credentials": sql.secret(200),
        "sealing_key": "'s1'",
        "fingerprint": sql.digest(fingerprint),
        **dict.fromkeys(("available_at", "created_at"), sql.ago("60")),
        "expires_at": sql.ago(f"-2 * {_DAY}"),
    }


def _batch(total: int) -> dict[str, str]:
    return {"platform": "'bluesky'", "request_id": "'req_1'", "total": str(total)}
