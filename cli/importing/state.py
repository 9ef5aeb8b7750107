"""What an import must remember to be gone on with after a crash. No secret is in it."""

from pathlib import Path

from pydantic import ValidationError

from cli.failures import CommandFailed
from cli.replacing import replacing
from connections.contract import WireModel


class ImportState(WireModel):
    """One import of one file. `digest` is of its identifiers; `batch_id` is known once the service has answered."""

    url: str
    idempotency_key: str
    profile_id: str | None = None
    rows: int
    digest: str
    batch_id: str | None = None


def state_path(results: Path) -> Path:
    return results.with_name(f"{results.name}.state")


def save_state(path: Path, state: ImportState) -> None:
    with replacing(path) as file:
        file.write(state.model_dump_json(indent=2) + "\n")


def load_state(path: Path) -> ImportState | None:
    """None when there is none. Raises `CommandFailed` when it cannot be read."""
    try:
        return ImportState.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError):
        raise CommandFailed(f"{path} does not hold the state of an import; remove it to begin anew") from None
