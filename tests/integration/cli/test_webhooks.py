"""`connector webhooks …`, as an operator sees it."""

import re
from collections.abc import Iterator

import orjson
import pytest
from sqlalchemy import select, update
from typer.testing import CliRunner, Result

from cli.main import app
from connections.audit import Action
from connections.db import Database
from connections.events import Event, EventType
from connections.models import audit_log, webhook_deliveries, webhooks
from connections.repository import outbox
from connections.settings import Settings
from connections.sqltime import from_now
from connections.vault import FileKeyStore, Followed, Sealer
from connections.webhooks.service import Webhooks
from tests.factories import Shown, make_tenant


class Operator:
    """Types commands, beside a workspace that has a webhook."""

    def __init__(self, settings: Settings) -> None:
        self._runner = CliRunner()
        assert self("migrate").exit_code == self("keys", "generate").exit_code == 0
        store = FileKeyStore(settings)
        self.database = Database(settings.database)
        self.tenant = make_tenant(self.database)
        self.api = Webhooks(self.database, Sealer(Followed(store.load_excerpt, every=0)), settings)
        body = {"name": "hook", "url": "https://receiver.test/", "events": ["*"]}
        self.webhook = self.api.create(self.tenant.caller, orjson.dumps(body), request_id="req_1")

    def __call__(self, *arguments: str) -> Result:
        return self._runner.invoke(app, arguments, prog_name="connector", catch_exceptions=False)

    def emit(self, *subjects: str) -> None:
        with self.database.write() as connection:
            for subject in subjects:
                event = Event(self.tenant.workspace_id, EventType.ACCOUNT_CONNECTED, subject, Shown(id=subject))
                outbox.emit(connection, [event])

    def bury(self) -> None:
        with self.database.write() as connection:
            ended = {"status": "dead", "due_at": None, "finished_at": from_now(), "last_error": "timeout"}
            connection.execute(update(webhook_deliveries).values(ended))


@pytest.fixture
def operator(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Operator]:
    monkeypatch.setenv("CONNECTOR_VAR_DIR", str(settings.var_dir))
    operator = Operator(settings)
    yield operator
    operator.database.close()


def test_the_webhooks_of_a_workspace_and_those_that_events_wait_for(operator: Operator) -> None:
    line = rf"{operator.webhook.id}  hook  ok  https://receiver.test/  {operator.tenant.workspace_id}"
    assert operator("webhooks", "list").stdout == ""
    assert operator("webhooks", "list", "--workspace", operator.tenant.workspace_id).stdout.splitlines() == [line]
    operator.emit("sa_1")
    assert operator("webhooks", "list").stdout.splitlines() == [line]

    with operator.database.write() as connection:
        connection.execute(update(webhooks).values(failures=7, paused_until=from_now(300)))
    assert re.search(r"failing \(7 in a row, left alone until 20\S+Z\)", operator("webhooks", "list").stdout)


def test_what_a_webhook_was_told(operator: Operator) -> None:
    operator.emit("sa_1", "sa_2")
    result = operator("webhooks", "deliveries", operator.webhook.id)
    assert [line.split()[2:5] for line in result.stdout.splitlines()] == [
        ["account.connected", "sa_2", "pending"],
        ["account.connected", "sa_1", "pending"],
    ]
    operator.bury()
    assert operator("webhooks", "deliveries", operator.webhook.id, "--status", "pending").stdout == ""
    dead = operator("webhooks", "deliveries", operator.webhook.id, "--status", "dead").stdout
    assert dead.count("dead  0 attempts  timeout") == 2
    assert operator("webhooks", "deliveries", operator.webhook.id, "--status", "lost").exit_code == 2


def test_dead_ones_are_replayed_and_the_audit_log_says_by_whom(operator: Operator) -> None:
    operator.emit("sa_1", "sa_2")
    operator.bury()
    page = operator.api.deliveries(operator.tenant.caller, operator.webhook.id, before=None, limit=10, status=None)

    one = page.deliveries[0].id
    assert operator("webhooks", "replay", operator.webhook.id, "--delivery", one).stdout == "1\n"
    assert operator("webhooks", "replay", operator.webhook.id).stdout == "1\n"
    assert operator("webhooks", "replay", operator.webhook.id).stdout == "0\n"
    with operator.database.read() as connection:
        query = select(audit_log.c.actor, audit_log.c.target).where(audit_log.c.action == Action.WEBHOOK_REPLAY)
        assert [tuple(row) for row in connection.execute(query)] == [("operator", operator.webhook.id)] * 2


@pytest.mark.parametrize(
    "command",
    [
        ("deliveries", "wh_none"),
        ("replay", "wh_none"),
        ("replay", "no id"),
        ("replay", "{id}", "--delivery", "wd_none"),
    ],
)
def test_what_is_not_there(operator: Operator, command: tuple[str, ...]) -> None:
    result = operator("webhooks", *(part.replace("{id}", operator.webhook.id) for part in command))

    assert result.exit_code == 1
    assert "here is no" in result.stderr
