"""`connector keys rotate`: the steps of a rotation, told as they are taken."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import typer

from cli.failures import CommandFailed
from cli.key_table import counted, verdict
from connections import rotation
from connections.db import Database
from connections.rotation import Exchanged, KeyReport, KeyState
from connections.vault import KeyStore

_POLL_SECONDS = 1.0
_TELL_SECONDS = 15.0

_TO_DO = {KeyState.NEEDED, KeyState.UNNAMED}


def rotate_keys(store: KeyStore, database: Database, *, grace: timedelta, wait: bool) -> None:
    """One round, or rounds until the old keys are gone. Raises `CommandFailed` when something cannot be decrypted."""
    try:
        _Rotation(store, database, grace).run(wait=wait)
    except KeyboardInterrupt:
        raise CommandFailed("stopped; nothing is lost, `connector keys rotate` goes on from here") from None


class _Rotation:
    def __init__(self, store: KeyStore, database: Database, grace: timedelta) -> None:
        self._store = store
        self._database = database
        self._grace = grace

    def run(self, *, wait: bool) -> None:
        self._begin()
        told_at = -_TELL_SECONDS
        while True:
            exchanged = self._exchange()
            retired = rotation.retire(self._store, self._database, now=_now(), grace=self._grace)
            if retired:
                typer.echo(f"Removed {_listed(retired)} from the ring.")
            ring = self._store.load_ring()
            reports = self._report()
            _refuse_what_is_lost(reports, exchanged)
            if not ring.is_rotating:
                typer.echo(f"Done: {_listed(ring.ids)} are the only keys.")
                return
            if time.monotonic() - told_at >= _TELL_SECONDS:
                told_at = time.monotonic()
                typer.echo("\n".join(filter(None, map(_reason, reports))))
            if not wait:
                typer.echo("Run `connector keys rotate` again then, or with --wait.")
                return
            time.sleep(_POLL_SECONDS)

    def _begin(self) -> None:
        was_rotating = self._store.load_ring().is_rotating
        ring = rotation.begin(self._store, self._database, now=_now())
        current = _listed([ring.sealing[0].id, ring.tokens[0].id])
        if was_rotating:
            typer.echo(f"Going on with the rotation to {current}.")
            return
        typer.echo(f"New keys: {current}, in use from now on.")
        typer.echo(f"Machines with copies need them now: workers {self._store.ring_name},")
        typer.echo(f"then the API {self._store.excerpt_name}.")

    def _exchange(self) -> Exchanged:
        expected = sum(each.rows_to_exchange for each in self._report() if each.state in _TO_DO)
        if expected == 0:
            return Exchanged(0, ())
        started = time.monotonic()
        with typer.progressbar(length=expected, label="Re-encrypting") as bar:
            done = rotation.exchange_secrets(self._store, self._database, clock=_now, on_batch=bar.update)
        seconds = time.monotonic() - started
        typer.echo(f"Rows re-encrypted: {done.rows:,}, in {seconds:.1f} s.")
        return done

    def _report(self) -> list[KeyReport]:
        return rotation.report(self._store, self._database, now=_now(), grace=self._grace)


def _refuse_what_is_lost(reports: Sequence[KeyReport], exchanged: Exchanged) -> None:
    if any(each.state is KeyState.LOST for each in reports):
        raise CommandFailed(verdict(reports))
    if exchanged.unreadable:
        count, some = len(exchanged.unreadable), _listed(exchanged.unreadable[:5])
        raise CommandFailed(f"secrets that do not open with the key they name, in {count:,} of the rows: {some}")


def _reason(each: KeyReport) -> str | None:
    """Why an old key is still there."""
    match each.state:
        case KeyState.NEEDED if each.rows > each.rows_to_exchange:
            return f"{each.id} is needed by {counted(each)}, and goes when the last of them has ended."
        case KeyState.NEEDED:
            return f"{each.id} is needed by {counted(each)}, written just now."
        case KeyState.RETIRING if each.retires_at is not None:
            return (
                f"{each.id} stays until {each.retires_at:%H:%M:%S}Z, so that every process has taken up the new keys."
            )
        case KeyState.RETIRABLE:
            return f"{each.id} can go now."
        case KeyState.UNNAMED:
            return f"The old keys stay for {counted(each)} of an older version that may need any of them."
        case _:
            return None


def _now() -> datetime:
    return datetime.now(UTC)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)
