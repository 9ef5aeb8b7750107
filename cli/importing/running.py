"""One import from the file to the report, and how it is gone on with."""

import uuid
from dataclasses import dataclass
from pathlib import Path

import orjson
import typer

from cli.failures import FAILED, CommandFailed
from cli.importing.access import Access
from cli.importing.accounts_file import AccountsFile
from cli.importing.batches import Batches, open_batches
from cli.importing.display import Display, open_display
from cli.importing.following import follow
from cli.importing.patience import Patience, Unavailable
from cli.importing.report import Report, all_results, write_results
from cli.importing.state import ImportState, load_state, save_state, state_path
from cli.importing.summary import as_json, summary_lines

PARTIAL = 2
INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class ImportOrder:
    """What is asked for."""

    path: Path
    results: Path
    profile_id: str | None = None
    resume: bool = False
    wait: bool = True
    json: bool = False

    @property
    def go_on(self) -> str:
        """What to type to go on."""
        out = "" if self.results == default_results(self.path) else f" --out {self.results}"
        return f"connector import {self.path}{out} --resume"


def default_results(path: Path) -> Path:
    return path.with_name(f"{path.stem}.results.csv")


def run_import(access: Access, order: ImportOrder) -> int:
    """Returns the exit status. Raises `CommandFailed` when nothing could be done."""
    if order.results.resolve() == order.path.resolve():
        raise CommandFailed(f"{order.results} is the file with the accounts; give another --out")
    file = AccountsFile.check(order.path)
    state = _resumed(order, file, access) if order.resume else _begun(order, file, access)
    try:
        with open_batches(access) as batches, open_display(_title(order, file)) as display:
            state = _sent(batches, order, file, state, display)
            report = _followed(batches, order, file, state, display) if order.wait else None
    except KeyboardInterrupt:
        typer.echo(_farewell(order), err=True)
        return INTERRUPTED
    if report is None:
        _say_how_to_look(order, state)
        return 0
    state_path(order.results).unlink(missing_ok=True)
    if order.json:
        typer.echo(as_json(report, state.batch_id, order.results))
    else:
        typer.echo("\n".join(summary_lines(report, order.results)))
    return _exit_status(report)


def _begun(order: ImportOrder, file: AccountsFile, access: Access) -> ImportState:
    path = state_path(order.results)
    if load_state(path) is not None:
        raise CommandFailed(f"an import of this file was not finished; `{order.go_on}`, or remove {path} to begin anew")
    return ImportState(
        url=access.url,
        idempotency_key=str(uuid.uuid4()),
        profile_id=order.profile_id,
        rows=file.count,
        digest=file.digest,
    )


def _resumed(order: ImportOrder, file: AccountsFile, access: Access) -> ImportState:
    path = state_path(order.results)
    state = load_state(path)
    if state is None:
        raise CommandFailed(f"there is nothing to go on with: no {path}; run it without --resume")
    if state.url != access.url:
        raise CommandFailed(f"this import was begun at {state.url}, not at {access.url}; go on with --url {state.url}")
    if order.profile_id not in {None, state.profile_id}:
        raise CommandFailed(f"this import was begun for {state.profile_id or 'the only profile'}; leave --profile away")
    _refuse_another_file(file, state)
    return state


def _refuse_another_file(file: AccountsFile, state: ImportState) -> None:
    if (file.count, file.digest) != (state.rows, state.digest):
        known = f"; `connector batch results {state.batch_id}` has the results" if state.batch_id else ""
        raise CommandFailed(f"{file.path} has other accounts than when the import was begun; put it back{known}")


def _sent(
    batches: Batches, order: ImportOrder, file: AccountsFile, state: ImportState, display: Display
) -> ImportState:
    """The state with the batch's id. It is stored before anything is sent, so that whatever happens can be repeated."""
    if state.batch_id is not None:
        return state
    path = state_path(order.results)
    save_state(path, state)
    may_exist = order.resume

    def create() -> str:
        nonlocal may_exist
        try:
            batch = batches.create(file.pieces(), idempotency_key=state.idempotency_key, profile_id=state.profile_id)
        except Unavailable as unavailable:
            if not (may_exist or unavailable.was_sent):
                raise CommandFailed(f"{unavailable}; start the service or set CONNECTOR_URL") from None
            may_exist = True
            raise
        return batch.id

    try:
        batch_id = Patience(display.say).until_answered(create)
    except CommandFailed:
        if not may_exist:  # nothing to go on with
            path.unlink(missing_ok=True)
        raise
    state = state.model_copy(update={"batch_id": batch_id})
    save_state(path, state)
    return state


def _followed(batches: Batches, order: ImportOrder, file: AccountsFile, state: ImportState, display: Display) -> Report:
    if state.batch_id is None:
        raise CommandFailed("there is no batch to follow")
    patience = Patience(display.say)
    for batch in follow(batches, state.batch_id, patience):
        display.show(batch)
    _refuse_another_file(AccountsFile.check(file.path), state)
    return write_results(file, all_results(batches, state.batch_id, patience), order.results)


def _title(order: ImportOrder, file: AccountsFile) -> str:
    return f"Importing {order.path}: {file.count:,} rows"


def _farewell(order: ImportOrder) -> str:
    path = state_path(order.results)
    try:
        state = load_state(path)
    except CommandFailed:
        state = None
    if state is None:
        return "connector: stopped before anything was sent"
    what = f"batch {state.batch_id} goes on by itself" if state.batch_id else "what was sent may go on by itself"
    return f"connector: {what}; `{order.go_on}` goes on with the report"


def _say_how_to_look(order: ImportOrder, state: ImportState) -> None:
    if order.json:
        typer.echo(orjson.dumps({"batch_id": state.batch_id}).decode())
        return
    typer.echo(f"Batch {state.batch_id} with {state.rows:,} rows. To look: `connector batch show {state.batch_id}`")
    typer.echo(f"To wait for its end and write {order.results}: `{order.go_on}`")


def _exit_status(report: Report) -> int:
    if report.well == report.total:
        return 0
    return PARTIAL if report.well else FAILED
