"""Whose turn it is."""

from connections.repository.deliveries import WaitingWebhook
from worker.webhooks.turns import Turns


class Table:
    """Webhooks that wait, by their ids, of which a look finds two at most."""

    def __init__(self, *ids: str, unready: str = "") -> None:
        self.ids = sorted(ids)
        self.unready = unready
        self.looks: list[str] = []

    def look(self, after: str) -> tuple[list[WaitingWebhook], str | None]:
        self.looks.append(after)
        found = [one for one in self.ids if one > after][:2]
        ready = [WaitingWebhook(one, is_deleted=False, is_ready=True) for one in found if one not in self.unready]
        return ready, found[-1] if len(found) == 2 else None


def turns(table: Table, *, per_webhook: int = 1) -> Turns:
    return Turns(table.look, per_webhook=per_webhook, shuffle=lambda _found: None)


def test_every_webhook_has_its_turn_and_a_run_has_it_no_more_once_it_is_done_with() -> None:
    table = Table("a", "b", "c", "d", "e")
    all_turns = turns(table)
    run, seen = all_turns.begin(), []
    while (webhook := all_turns.next(run)) is not None:
        seen.append(webhook.id)
        all_turns.done(run, webhook, has_more=False)

    assert seen == ["a", "b", "c", "d", "e"]
    again = all_turns.begin()
    assert again.found


def test_the_next_run_goes_on_where_the_last_one_looked() -> None:
    table = Table("a", "b", "c", "d")
    all_turns = turns(table)
    assert [webhook.id for webhook in all_turns.begin().found] == ["a", "b"]
    assert [webhook.id for webhook in all_turns.begin().found] == ["c", "d"]
    assert [webhook.id for webhook in all_turns.begin().found] == ["a", "b"]
    assert table.looks == ["", "b", "d", ""]


def test_one_webhook_has_no_more_threads_than_it_may_in_all_runs_together() -> None:
    all_turns = turns(Table("a"), per_webhook=2)
    first, second = all_turns.begin(), all_turns.begin()
    one, other = all_turns.next(first), all_turns.next(second)
    assert one is not None
    assert other is not None
    assert all_turns.serving() == 2
    assert all_turns.next(first) is None
    assert all_turns.next(all_turns.begin()) is None

    all_turns.done(first, one, has_more=True)
    assert all_turns.next(first) is not None


def test_without_anybody_who_waits_there_is_nothing_to_do() -> None:
    table = Table()
    assert not turns(table).begin().found
    assert table.looks == [""]


def test_many_that_wait_for_their_time_hide_none_behind_them() -> None:
    all_turns = turns(Table("a", "b", "c", "d", "e", "f", "g", unready="cdef"))
    assert [webhook.id for webhook in all_turns.begin().found] == ["a", "b"]
    assert [webhook.id for webhook in all_turns.begin().found] == ["g"]
    assert [webhook.id for webhook in all_turns.begin().found] == ["a", "b"]


def test_a_look_at_none_that_is_ready_ends_after_one_round() -> None:
    table = Table("a", "b", "c", unready="abc")
    all_turns = turns(table)
    assert not all_turns.begin().found
    assert table.looks == ["", "b"]
