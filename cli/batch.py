"""`connector batch …`: look at batches of a running service, and stop them."""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.importing.options import ApiKey, Url

if TYPE_CHECKING:
    from cli.importing.batches import Batches
    from connections.contract import Batch

batch = typer.Typer(help="Batches: many accounts at once.", no_args_is_help=True)

BatchId = Annotated[str, typer.Argument(metavar="ID", help="Such as cb_…")]


class Format(StrEnum):
    CSV = "csv"
    NDJSON = "ndjson"


_MEDIA_TYPES = {Format.CSV: "text/csv", Format.NDJSON: "application/x-ndjson"}


@batch.command("show")
def show(batch_id: BatchId, *, api_key: ApiKey = None, url: Url = None) -> None:
    """Show how far a batch has come."""
    with _batches(batch_id, url, api_key) as batches:
        _print(batches.get(batch_id))


@batch.command("cancel")
def cancel(batch_id: BatchId, *, api_key: ApiKey = None, url: Url = None) -> None:
    """Stop what has not begun. Rows that are under way end by themselves."""
    with _batches(batch_id, url, api_key) as batches:
        _print(batches.cancel(batch_id))


@batch.command("results")
def results(
    batch_id: BatchId,
    *,
    api_key: ApiKey = None,
    url: Url = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Else on stdout.")] = None,
    format: Annotated[Format, typer.Option(help="One row a line, as CSV or JSON.")] = Format.CSV,  # noqa: A002  the option's name
) -> None:
    """Get what has become of each row so far, in the order of the rows."""
    import codecs
    import sys

    from cli.replacing import replacing

    with _batches(batch_id, url, api_key) as batches:
        text = codecs.iterdecode(batches.download(batch_id, _MEDIA_TYPES[format]), "utf-8")
        if out is None:
            sys.stdout.writelines(text)
            return
        with replacing(out) as file:
            file.writelines(text)


@contextmanager
def _batches(batch_id: str, url: str | None, api_key: str | None) -> Iterator["Batches"]:
    from cli.failures import CommandFailed
    from cli.importing.access import find_access
    from cli.importing.batches import open_batches
    from cli.importing.patience import Unavailable
    from connections.intake import is_id

    if not is_id(batch_id):
        raise CommandFailed(f"{batch_id!r} is not the id of a batch")
    try:
        with open_batches(find_access(url, api_key)) as batches:
            yield batches
    except Unavailable as unavailable:
        raise CommandFailed(str(unavailable)) from None


def _print(batch: "Batch") -> None:
    from datetime import datetime

    from cli.importing.progress import batch_lines

    typer.echo("\n".join(batch_lines(batch, datetime.now().astimezone())))
