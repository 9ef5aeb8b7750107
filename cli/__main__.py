"""`python -m cli` is `connector`: how `connector up` starts its parts with its own interpreter."""

from cli.main import app

app(prog_name="connector")
