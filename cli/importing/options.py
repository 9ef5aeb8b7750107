"""Options of every command that works on a running service."""

from typing import Annotated

import typer

ApiKey = Annotated[str | None, typer.Option(envvar="UNIPOST_API_KEY", help="Others can see options; use the variable.")]
Url = Annotated[str | None, typer.Option(envvar="CONNECTOR_URL", help="Where the service is.")]
