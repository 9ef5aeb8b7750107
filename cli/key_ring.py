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
    from connections.vault import KeysExist, generate_keys, open_key_store

    settings = load_settings()
    store = open_key_store(settings)
    try:
        generate_keys(store, settings.env)
    except KeysExist as error:
        raise CommandFailed(f"{error} exists; what it protects would be lost with it") from None
    typer.echo(f"{store.ring_name}  for workers: opens everything")
    typer.echo(f"{store.excerpt_name}  for the API: seals, opens nothing")
