"""`connector` as people type it, with a secret in each way it can be given. Each function returns the exit status."""

import os
import pty
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from sandbox.faults import Delay
from tests.canary.batch import table
from tests.canary.cases import LOGIN
from tests.canary.evidence import keys_in
from tests.canary.person import Person
from tests.canary.run import PROCESSES, TERMINAL, Run
from tests.processes import ROOT
from tests.servers import wait_until

_SECONDS = 60

Process = subprocess.Popen[bytes]


def on_stdin(run: Run, person: Person) -> int:
    return _typed(run, f"{person.password}\n", "connect", person.handle, "--password-stdin", **_calling(run, person))


def wrong_in_a_variable(run: Run, person: Person) -> int:
    password = f"{person.password}-not"
    return _typed(run, "", "connect", person.handle, CONNECTOR_APP_PASSWORD=password, **_calling(run, person))


def nobody_there(run: Run, person: Person) -> int:
    variables = {**_calling(run, person), "CONNECTOR_URL": "http://127.0.0.1:1"}
    return _typed(run, f"{person.password}\n", "connect", person.handle, "--password-stdin", **variables)


def at_the_prompt(run: Run, person: Person) -> int:
    """A terminal shows what is typed unless it is told not to. Looked at while it waits for the answer."""
    run.control.order(Delay(after=1, method=LOGIN, account=person.did, times=1))
    ours, theirs = pty.openpty()
    shown = bytearray()

    def asks() -> bool:
        with suppress(BlockingIOError, OSError):  # nothing yet, or the other side has ended
            shown.extend(os.read(ours, 4096))
        return b"App password: " in shown  # its last blank comes when the terminal has been told to show nothing

    with _started(run, ["connect", person.handle], _calling(run, person), theirs) as process:
        os.close(theirs)
        os.set_blocking(ours, False)
        wait_until(asks, what="the prompt", seconds=_SECONDS)
        os.write(ours, f"{person.main_password}\n".encode())
        wait_until(lambda: run.control.count(LOGIN, identifier=person.did), what="the login", seconds=_SECONDS)
        # Its key is in a variable of the caller's own, and no secret of the service's is with it.
        run.evidence.add(PROCESSES, Path(f"/proc/{process.pid}/cmdline").read_bytes())
        assert process.stdout is not None
        run.evidence.add(TERMINAL, process.stdout.read())
    asks()
    os.close(ours)
    run.evidence.add(TERMINAL, bytes(shown))
    return process.returncode


def a_file_of_accounts(run: Run, person: Person) -> int:
    """Some of its rows fail. The file itself is not looked into, all that is written beside it is."""
    written = run.stack.directory / "imported"
    written.mkdir()
    with TemporaryDirectory() as elsewhere:
        accounts = Path(elsewhere, "accounts.csv")
        accounts.write_text(f"{table(person)}nobody.test,{person.password}-not,second\n")
        arguments = ("import", str(accounts), "--out", str(written / "results.csv"))
        return _typed(run, "", *arguments, **_calling(run, person))


def a_file_with_a_fault(run: Run, person: Person) -> int:
    with TemporaryDirectory() as elsewhere:
        accounts = Path(elsewhere, "accounts.csv")
        accounts.write_text(f'handle,app_password\n{person.handle},"{person.password}\n')
        return _typed(run, "", "import", str(accounts), "--json", **_calling(run, person))


def a_new_key(run: Run, person: Person) -> int:
    """Shown to who makes it, this once."""
    workspace = ("--workspace", person.workspace_id)
    with _started(run, ["key", "create", *workspace], {}) as process:
        out, err = process.communicate(timeout=_SECONDS)
    key = out.decode().strip()
    run.needles.add("a key made at the terminal", key[16:])
    run.evidence.add(TERMINAL, err)
    return (
        process.returncode or _typed(run, "", "key", "list", *workspace) or _typed(run, "", "key", "revoke", key[:16])
    )


def a_new_key_ring(run: Run, _person: Person) -> int:
    ring = run.stack.directory / "generated" / "keys.json"
    status = _typed(run, "", "keys", "generate", CONNECTOR_KEYS_FILE=str(ring))
    for key in keys_in(ring):
        run.needles.add("a key ring made at the terminal", key)
    return status


def a_database_that_is_away(run: Run, person: Person) -> int:
    url = f"postgresql://connector:{person.password}@127.0.0.1:1/connector"
    return _typed(run, "", "key", "list", "--workspace", "Acme", CONNECTOR_DATABASE_URL=url)


COMMANDS: dict[Callable[[Run, Person], int], int] = {
    on_stdin: 0,
    wrong_in_a_variable: 1,
    nobody_there: 1,
    at_the_prompt: 1,
    a_file_of_accounts: 2,
    a_file_with_a_fault: 1,
    a_new_key: 0,
    a_new_key_ring: 0,
    a_database_that_is_away: 1,
}


def type_everything(run: Run) -> None:
    people = [run.person(named(command)) for command in COMMANDS]
    with ThreadPoolExecutor(3) as hands:
        for command, status in zip(
            COMMANDS, hands.map(lambda act, person: act(run, person), COMMANDS, people), strict=True
        ):
            run.answered[named(command)] = status, None


def named(command: Callable[[Run, Person], int]) -> str:
    return "at the terminal: " + command.__name__.replace("_", " ")


def _calling(run: Run, person: Person) -> dict[str, str]:
    return {"CONNECTOR_URL": run.stack.url, "UNIPOST_API_KEY": person.key}


def _typed(run: Run, text: str, *arguments: str, **variables: str) -> int:
    with _started(run, arguments, variables) as process:
        run.evidence.add(TERMINAL, *process.communicate(text.encode(), timeout=_SECONDS))
    return process.returncode


@contextmanager
def _started(
    run: Run, arguments: Sequence[str], variables: Mapping[str, str], terminal: int = subprocess.PIPE
) -> Iterator[Process]:
    process = subprocess.Popen(
        [sys.executable, "-m", "cli", *arguments],
        cwd=ROOT,
        env={**os.environ, **run.stack.environment, **variables},
        stdin=terminal,
        stdout=subprocess.PIPE,
        stderr=terminal,
        start_new_session=True,  # no terminal but the one it is given
    )
    with process:
        try:
            yield process
            process.wait(_SECONDS)
        finally:
            process.kill()
