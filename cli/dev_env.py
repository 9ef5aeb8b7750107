"""`var/dev.env`: where the demo runs, its API key and an account to try, for shells and tests to read.

It is also the demo's memory: the key in it is used again as long as it works, because the database has only its hash.
"""

import shlex
from collections.abc import Mapping
from pathlib import Path

from cli.replacing import replacing
from cli.stack import Shape
from connections import api_keys
from connections.audit import OPERATOR, Action, AuditEntry
from connections.db import Database
from connections.ids import new_id
from connections.repository import audit, workspaces
from connections.settings import Settings

_WORKSPACE = "demo"
_KEY = "UNIPOST_API_KEY"


def write_dev_env(settings: Settings, shape: Shape, handle: str, app_password: str) -> Path:
    """Makes workspace, profile and key unless they were made before. Returns the path of the file."""
    path = settings.var_dir / "dev.env"
    known_key = read_dev_env(path).get(_KEY, "")
    database = Database(settings.database, pool_size=1)
    try:
        key = known_key if _works(database, known_key) else _create_key(database)
    finally:
        database.close()
    _write(
        path,
        {"CONNECTOR_URL": shape.url, _KEY: key, "DEMO_HANDLE": handle, "DEMO_APP_PASSWORD": app_password},
    )
    return path


def copy_dev_env(path: Path, to: Path) -> None:
    _write(to, read_dev_env(path))


def _works(database: Database, key: str) -> bool:
    prefix = api_keys.prefix_of(key)
    if prefix is None:
        return False
    with database.read() as connection:
        row = workspaces.api_key_by_prefix(connection, prefix)
    return row is not None and row.is_valid and api_keys.proves(key, row)


def _create_key(database: Database) -> str:
    made, key_id = api_keys.new_api_key(live=False), new_id("key")
    created: dict[Action, str] = {}
    with database.write() as connection:
        workspace_id = workspaces.find_workspace(connection, _WORKSPACE)
        if workspace_id is None:
            workspace_id, profile_id = new_id("ws"), new_id("pr")
            workspaces.insert_workspace(connection, workspace_id=workspace_id, name=_WORKSPACE)
            workspaces.insert_profile(connection, profile_id=profile_id, workspace_id=workspace_id, name=_WORKSPACE)
            created |= {Action.WORKSPACE_CREATE: workspace_id, Action.PROFILE_CREATE: profile_id}
        workspaces.insert_api_key(
            connection,
            key_id=key_id,
            workspace_id=workspace_id,
            name=_WORKSPACE,
            prefix=made.prefix,
            secret_hash=made.secret_hash,
            expires_in=None,
        )
        created[Action.KEY_CREATE] = key_id
        audit.record(
            connection,
            [AuditEntry(workspace_id, OPERATOR, action, target=target) for action, target in created.items()],
        )
    return made.key


def read_dev_env(path: Path) -> dict[str, str]:
    """Its variables; none when there is no such file."""
    if not path.exists():
        return {}
    pairs = (line.partition("=") for line in path.read_text().splitlines())
    return {name: "".join(shlex.split(value)) for name, _, value in pairs}


def _write(path: Path, variables: Mapping[str, str]) -> None:
    with replacing(path) as file:
        file.writelines(f"{name}={shlex.quote(value)}\n" for name, value in variables.items())
