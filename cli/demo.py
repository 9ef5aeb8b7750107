"""`connector demo`, which is `make run`: the service, a sandbox of Bluesky beside it, and what to type next."""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from cli.dev_env import copy_dev_env, write_dev_env
from cli.failures import CommandFailed
from cli.ports import LOOPBACK
from cli.printer import OWN_NAME, Printer
from cli.stack import Shape, prepare, run_stack, start
from cli.supervisor import Command, Supervisor
from connections.folders import make_private
from connections.settings import Settings, load_settings

DEFAULT_PORT = 8000
_SANDBOX_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Playground:
    """The network of `.test` handles, as variables for the service, and an account there, if one is known."""

    env: Mapping[str, str]
    handle: str = ""
    app_password: str = field(default="", repr=False)


def run(port: int, workers: int) -> int:
    """Runs until told to stop. Returns the exit status."""
    settings = _settings_for(port)
    if settings.is_production:
        raise CommandFailed("the demo is for development; unset CONNECTOR_ENV or use `connector up`")
    if _given_playground(settings) is None and find_spec("sandbox") is None:
        raise CommandFailed("the sandbox is part of a checkout, not of the package; use `connector up`")
    shape = Shape(LOOPBACK, port, workers)
    prepare(settings, shape)
    return run_stack(settings, _run(settings, shape))


async def _run(settings: Settings, shape: Shape) -> int:
    printer = Printer()
    printer.line(OWN_NAME, "starting")
    async with Supervisor(printer) as supervisor:
        playground = _given_playground(settings) or await _start_sandbox(supervisor, settings)
        env = {**playground.env, "CONNECTOR_VAR_DIR": str(settings.var_dir.absolute())}
        await start(supervisor, settings, shape, env)
        path = write_dev_env(settings, shape, playground.handle, playground.app_password)
        if (usual := load_settings().var_dir / path.name) != path:
            copy_dev_env(path, usual)  # there scripts find the demo that was started last
        printer.plain(_welcome(shape, path, playground))
        await supervisor.wait()
    return supervisor.exit_status


def _settings_for(port: int) -> Settings:
    """Demos on other ports of the same checkout keep to folders of their own, unless one is chosen for them."""
    settings = load_settings()
    if port == DEFAULT_PORT or os.environ.get("CONNECTOR_VAR_DIR"):
        return settings
    return settings.model_copy(update={"var_dir": settings.var_dir / str(port)})


def _given_playground(settings: Settings) -> Playground | None:
    """The network of the environment, when it names both of its parts."""
    if settings.dev_pds_url is None or "CONNECTOR_PLC_URL" not in os.environ:
        return None
    inherited: dict[str, str] = {}
    return Playground(inherited, os.environ.get("DEMO_HANDLE", ""), os.environ.get("DEMO_APP_PASSWORD", ""))


async def _start_sandbox(supervisor: Supervisor, settings: Settings) -> Playground:
    make_private(settings.var_dir)
    ready_file = settings.var_dir / "sandbox.json"
    ready_file.unlink(missing_ok=True)
    argv = [sys.executable, "-m", "sandbox", "--ready-file", str(ready_file), "--parent-pid", str(os.getpid())]
    await supervisor.start(Command("sandbox", argv, quiet=True))

    async def is_ready() -> bool:
        return ready_file.exists()

    await supervisor.wait_until(is_ready, what="the sandbox", seconds=_SANDBOX_SECONDS)
    network = json.loads(ready_file.read_text())
    account = network["accounts"][0]
    # Its directory is asked first and the real one for all others, so that real accounts connect beside it.
    env = {"CONNECTOR_DEV_PDS_URL": network["pds"], "CONNECTOR_DEV_PLC_URL": network["plc"]}
    return Playground(env, account["handle"], account["app_password"])


def _welcome(shape: Shape, dev_env: Path, playground: Playground) -> str:
    sandbox_account = [
        f"  Connect {playground.handle}, who lives in the sandbox (once more, and it answers 409: connected already):",
        "",
        *_curl(shape, playground.handle, playground.app_password),
        "",
    ]
    return "\n".join(
        [
            "",
            f"  Ready at {shape.url} (documentation: {shape.url}/docs). In another terminal, take the API key:",
            "",
            f"    set -a; . {_relative(dev_env)}; set +a",
            "",
            *(sandbox_account if playground.handle else []),
            "  Connect a Bluesky account of yours (Settings, Privacy and security, App passwords):",
            "",
            *_curl(shape, "you.bsky.social", "xxxx-xxxx-xxxx-xxxx"),
            "",
            "  Ctrl-C stops everything.",
            "",
        ]
    )


def _curl(shape: Shape, handle: str, app_password: str) -> list[str]:
    body = {"platform": "bluesky", "credentials": {"handle": handle, "app_password": app_password}}
    return [
        f"    curl {shape.url}/v1/accounts/connect \\",
        '      -H "Authorization: Bearer $UNIPOST_API_KEY" -H "Content-Type: application/json" \\',
        f"      -d '{json.dumps(body)}'",
    ]


def _relative(path: Path) -> Path:
    """As one would type it from here."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
