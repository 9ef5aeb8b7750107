"""A real PLC directory and a real PDS (`@atproto/dev-env` from npm) as a context manager.

Needs Node 20 or newer with npm, and on first use a C++ compiler: `npm ci` builds one native module, which takes about
two minutes, into `node_modules` beside this file.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import select
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import pytest

from sandbox.process import end
from tests.e2e.network.pds_client import PdsAccount, PdsClient

_HERE = Path(__file__).resolve().parent
_MODULES = _HERE / "node_modules"
_LOCK = _HERE / "package-lock.json"
_MIN_NODE = 20
_INSTALL_SECONDS = 900.0
_READY_SECONDS = 90.0
_COMMAND_SECONDS = 30.0
_STOP_SECONDS = 15.0


def require_node() -> None:
    """Skips the test, or fails it where a comparison is demanded, when there is no Node to run a real PDS."""
    if node_available():
        return
    reason = "NOT COMPARED WITH A REAL PDS: node 20 or newer and npm are not on the PATH"
    if os.environ.get("CONNECTOR_REQUIRE_REAL_NETWORK"):
        pytest.fail(reason)
    pytest.skip(reason)


def node_available() -> bool:
    """Whether node (20 or newer) and npm are on the PATH."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return False
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    return int(version.removeprefix("v").partition(".")[0]) >= _MIN_NODE


def install() -> None:
    """`npm ci`, unless what the lock file says is already there. Raises CalledProcessError when it fails."""
    wanted = hashlib.sha256(_LOCK.read_bytes()).hexdigest()
    stamp = _MODULES / ".installed"
    with _LOCK.open() as lock:
        # Test runs side by side share one installation.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if stamp.is_file() and stamp.read_text() == wanted:
            return
        subprocess.run(
            ["npm", "ci", "--no-audit", "--no-fund"],
            cwd=_HERE,
            env={**os.environ, **_build_environment()},
            check=True,
            timeout=_INSTALL_SECONDS,
        )
        stamp.write_text(wanted)


def _build_environment() -> dict[str, str]:
    """Build the native module here, from Node's own headers where they are installed, rather than download either."""
    node = shutil.which("node")
    assert node is not None, "node_available() says whether there is one"
    environment = {"npm_config_build_from_source": "true"}
    prefix = Path(node).resolve().parent.parent
    if (prefix / "include" / "node" / "node_version.h").is_file():
        environment["npm_config_nodedir"] = str(prefix)
    return environment


class RealNetwork:
    """Runs the network while the context is open.

    `rate_limits` switches the documented limits on, `did_doc` puts the DID document into sessions.

    Within it: `pds_url`, `plc_url`, `version` of `@atproto/pds`, and `pds`, a client that sets up accounts. Raises
    RuntimeError when the network is not ready in 90 seconds or refuses a command.
    """

    def __init__(self, *, rate_limits: bool = False, did_doc: bool = False) -> None:
        self._switches = {
            "PDS_RATE_LIMITS_ENABLED": "true" if rate_limits else "false",
            "PDS_ENABLE_DID_DOC_WITH_SESSION": "true" if did_doc else "false",
        }
        self._process: subprocess.Popen[str] | None = None
        self._pds: PdsClient | None = None
        self.pds_url = ""
        self.plc_url = ""
        self.version = ""

    @property
    def pds(self) -> PdsClient:
        """The client of the PDS."""
        assert self._pds is not None, "the network is not running"
        return self._pds

    def create_account(self, handle: str, password: str = "main-password") -> PdsAccount:
        """Create an account under `.test`."""
        return self.pds.create_account(handle, password)

    def create_app_password(self, account: PdsAccount, name: str = "app", *, privileged: bool = False) -> str:
        """Create an app password."""
        return self.pds.create_app_password(account, name, privileged=privileged)

    def deactivate(self, account: PdsAccount) -> None:
        """Deactivate an account."""
        self.pds.deactivate(account)

    def take_down(self, did: str, *, applied: bool = True) -> None:
        """Take an account down, or restore it."""
        self.pds.take_down(did, applied=applied)

    @contextlib.contextmanager
    def silent(self) -> Iterator[None]:
        """Nobody of the network answers inside."""
        assert self._process is not None, "the network is not running"
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def tombstone(self, did: str) -> None:
        """Tombstone a DID in the directory."""
        self._command({"tombstone": did})

    def set_endpoint(self, did: str, endpoint: str) -> None:
        """Let the directory name another PDS; it takes any string."""
        self._command({"set_endpoint": did, "endpoint": endpoint})

    def open_sessions(self, did: str) -> int:
        """How many sessions of the account can still be refreshed, not counting refresh tokens that were replaced."""
        return int(self._command({"open_sessions": did})["open_sessions"])

    def __enter__(self) -> Self:
        install()
        self._process = subprocess.Popen(
            ["node", "network.mjs"],
            cwd=_HERE,
            env={**os.environ, **self._switches, "LOG_ENABLED": "false"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        try:
            where = self._read_line(_READY_SECONDS)
            self.pds_url, self.plc_url, self.version = where["pds"], where["plc"], where["version"]
            self._pds = PdsClient(self.pds_url, where["admin_password"])
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _command(self, command: dict[str, str]) -> dict[str, Any]:
        assert self._process is not None, "the network is not running"
        _pipe(self._process.stdin).write(json.dumps(command) + "\n")
        answer = self._read_line(_COMMAND_SECONDS)
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer

    def _read_line(self, seconds: float) -> dict[str, Any]:
        assert self._process is not None, "the network is not running"
        stdout = _pipe(self._process.stdout)
        # One line answers one command, so nothing of an earlier line can wait in the buffer.
        readable, _, _ = select.select([stdout], [], [], seconds)
        line = stdout.readline() if readable else ""
        if not line:
            raise RuntimeError("the real network does not answer; its error output says why")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _stop(self) -> None:
        if self._pds is not None:
            self._pds.close()
        process, self._process, self._pds = self._process, None, None
        if process is None:
            return
        end(process, grace=_STOP_SECONDS)
        _pipe(process.stdin).close()
        _pipe(process.stdout).close()


def _pipe(stream: IO[str] | None) -> IO[str]:
    assert stream is not None, "opened with PIPE"
    return stream
