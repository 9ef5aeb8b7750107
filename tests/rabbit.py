"""A real RabbitMQ for tests, where there is one: on loopback, in a folder of its own, with a port mapper of its own."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from kombu import Connection, pools

from connections.messages import Queue
from tests.servers import free_port, wait_until

# What Debian has on the PATH becomes another user first, and forgets what it was told.
_DEBIANS = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")

# A user with a virtual host, who may do what docs/operations.md says is needed.
_OURS = r"^connect(\..*)?$"
_DEFINITIONS = {
    "users": [{"name": "connector", "password": "secret", "tags": ""}],
    "vhosts": [{"name": "accounts"}],
    "permissions": [
        {
            "user": "connector",
            "vhost": "accounts",
            "configure": _OURS,
            "write": r"^(connect(\..*)?|amq\.default)$",
            "read": _OURS,
        }
    ],
}


class Rabbit:
    """A RabbitMQ server that can be killed, and started again on its port without the messages that it had."""

    def __init__(self, directory: Path, server: str, *, certificate: Path | None = None) -> None:
        """`certificate` is a PEM file with its key, for TLS."""
        self.port = free_port()
        self.host = "localhost" if certificate else "127.0.0.1"
        self.url = f"{'amqps' if certificate else 'amqp'}://connector:secret@{self.host}:{self.port}/accounts"
        self._directory, self._server = directory, server
        self._log = directory / "rabbit.log"
        self._certificate = certificate
        self._processes: list[subprocess.Popen[bytes]] = []

    @property
    def pids(self) -> list[int]:
        server = psutil.Process(self._processes[1].pid)
        return [server.pid, *(process.pid for process in server.children(recursive=True))]

    @property
    def is_running(self) -> bool:
        return bool(self._processes)

    def start(self) -> None:
        (self._directory / "plugins").write_text("[].")
        (self._directory / "definitions.json").write_text(json.dumps(_DEFINITIONS))
        (self._directory / "rabbit.conf").write_text(self._configuration())
        mapper = free_port()
        environment = os.environ | {
            "HOME": str(self._directory),  # of the secret that its processes share
            "ERL_EPMD_PORT": str(mapper),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "RABBITMQ_NODENAME": f"test-{self.port}@localhost",
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_MNESIA_BASE": str(self._directory / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self._directory),
            "RABBITMQ_PID_FILE": str(self._directory / "pid"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self._directory / "plugins"),
            "RABBITMQ_CONFIG_FILE": str(self._directory / "rabbit.conf"),
            # Two schedulers that sleep when there is nothing to do, beside everything else of a test.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 2:2 +sbwt none",
        }
        with self._log.open("wb") as log:
            for command in (["epmd", "-port", str(mapper), "-address", "127.0.0.1"], [self._server]):
                process = subprocess.Popen(
                    command,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,  # a group of its own: helpers of the server end with it
                )
                self._processes.append(process)
        wait_until(lambda: b"startup complete" in self._log.read_bytes(), what="RabbitMQ to start", seconds=120)

    def stop(self) -> None:
        """Kills it."""
        for process in self._processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self._processes.clear()

    def depth(self, queue: Queue) -> int:
        return self._declared(queue)[1]

    def consumers(self, queue: Queue) -> int:
        return self._declared(queue)[2]

    def take(self, queue: Queue) -> Any:
        """The message that has lain there for longest; None when there is none."""
        with Connection(self.url) as connection:
            return connection.default_channel.basic_get(queue, no_ack=True)

    def forget(self) -> None:
        """As if nobody had ever used it, this process included, which remembers what it has declared."""
        pools.reset()
        with Connection(self.url) as connection:
            for queue in Queue:
                connection.default_channel.queue_delete(queue)

    def _declared(self, queue: Queue) -> tuple[str, int, int]:
        with Connection(self.url) as connection:
            declared: tuple[str, int, int] = connection.default_channel.queue_declare(
                queue, durable=True, auto_delete=False
            )
            return declared

    def _configuration(self) -> str:
        lines = ["log.console = true", "log.file = false", "disk_free_limit.absolute = 1MB"]
        lines.append(f"load_definitions = {self._directory / 'definitions.json'}")
        if self._certificate is None:
            lines.append(f"listeners.tcp.1 = 127.0.0.1:{self.port}")
        else:
            lines += ["listeners.tcp = none", f"listeners.ssl.1 = 127.0.0.1:{self.port}"]
            lines += [f"ssl_options.{kind} = {self._certificate}" for kind in ("certfile", "keyfile")]
        return "\n".join([*lines, ""])


@contextlib.contextmanager
def running_rabbit(directory: Path, *, certificate: Path | None = None) -> Iterator[Rabbit]:
    """Skips the test where there is no RabbitMQ."""
    server = str(_DEBIANS) if _DEBIANS.exists() else shutil.which("rabbitmq-server")
    if server is None or shutil.which("epmd") is None:
        pytest.skip("needs rabbitmq-server, and the epmd of its Erlang, on the PATH")
    rabbit = Rabbit(directory, server, certificate=certificate)
    try:
        rabbit.start()
        yield rabbit
    finally:
        rabbit.stop()
