"""`connector keys …`: the key ring that seals credentials and encrypts tokens."""

import typer

keys = typer.Typer(help="The key ring that protects stored secrets.", no_args_is_help=True)


# Without a callback, typer would drop the name of a group's only command.
@keys.callback()
def _group() -> None:
    pass


@keys.command("generate")
def generate() -> None:
    """Write a new key ring for the workers and the API's excerpt of it. Never replaces one."""
    from cli.failures import CommandFailed
    from connections.settings import load_settings
    from connections.vault import generate_key_files

    settings = load_settings()
    for path in (settings.worker_keys_path, settings.shim_keys_path):
        if path.exists():
            raise CommandFailed(f"{path} exists; what it protects would be lost with it")
    ring, excerpt = generate_key_files(settings)
    typer.echo(f"{ring}  for workers: opens everything")
    typer.echo(f"{excerpt}  for the API: seals, opens nothing")
