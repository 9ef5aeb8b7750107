"""`connector doctor`: checks everything that the service needs."""

from typing import Annotated

import typer


def doctor(*, json: Annotated[bool, typer.Option("--json", help="One JSON object, for monitors.")] = False) -> None:
    """Check everything the service needs.

    Says what to do about what is wrong, and changes nothing.
    Exit status 0: nothing fails, warnings aside. 1: something does.
    """
    import shutil
    import sys

    from cli.doctor.findings import Finding, Verdict, worst
    from cli.doctor.report import NEVER_WRAPPED, as_json, coloured, lines, summary
    from cli.doctor.visit import findings
    from cli.failures import FAILED
    from connections.logs import wants_colours

    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else NEVER_WRAPPED
    found: list[tuple[str, Finding]] = []
    for name, finding in findings():
        found.append((name, finding))
        if not json:
            text = lines(name, finding, width)
            typer.echo(coloured(finding.verdict, text) if wants_colours(sys.stdout) else text)
    typer.echo(as_json(found) if json else f"\n{summary(finding for _, finding in found)}")
    if worst(finding for _, finding in found) is Verdict.FAIL:
        raise typer.Exit(FAILED)
