"""`python -m sandbox`: run the network until SIGTERM, SIGINT or the end of `--parent-pid`.

When everything listens, one JSON line with the URLs is printed, and written to `--ready-file` if given.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
from pathlib import Path

from sandbox.control import Control, describe
from sandbox.network import Network, NetworkSettings, NewAccount
from sandbox.server import LOOPBACK, HttpServer

DEMO_ACCOUNT = NewAccount("alice.test", app_password="abcd-efgh-2345-wxyz", password="alices-main-password")

_PARENT_CHECK_SECONDS = 1.0


def _account(text: str) -> NewAccount:
    handle, colon, app_password = text.partition(":")
    if not colon or not handle or not app_password:
        raise argparse.ArgumentTypeError("an account is HANDLE:APP_PASSWORD")
    return NewAccount(handle, app_password=app_password)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m sandbox", description="A local Bluesky network on loopback.")
    add = parser.add_argument
    add("--pds-port", type=int, action="append", metavar="PORT", help="once per PDS; 0 for a free port")
    add("--pds-count", type=int, default=0, metavar="NUMBER", help="that many PDSes more, on free ports")
    add("--plc-port", type=int, default=0, metavar="PORT")
    add("--dns-port", type=int, default=0, metavar="PORT", help="UDP and TCP")
    add("--control-port", type=int, default=0, metavar="PORT")
    add("--entryway-port", type=int, metavar="PORT", help="add a host that knows the accounts of every PDS")
    add("--hostname", default="localhost", help="name in the URLs")
    add("--hosted-domain", metavar="DOMAIN", help="a further name of the entryway, in the DNS of the sandbox")
    add("--tls-directory", type=Path, metavar="PATH", help="speak https, with a throwaway CA whose ca.pem is put there")
    add("--account", type=_account, action="append", metavar="HANDLE:APP_PASSWORD", help="default: alice.test")
    add("--crowd", type=int, default=0, metavar="NUMBER", help="that many accounts more: user0.test, user1.test, …")
    add("--delay-ms", type=float, default=0.0, help="time a login takes; a real PDS takes 350")
    add("--did-doc", action=argparse.BooleanOptionalAction, default=False, help="DID document in sessions")
    add("--limits", action=argparse.BooleanOptionalAction, default=False, help="the documented rate limits")
    add("--limits-scale", type=float, default=1.0, help="factor on every window of the limits")
    add(
        "--retry-after",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="on 429, as newer servers do",
    )
    add("--ready-file", type=Path, metavar="PATH")
    add("--parent-pid", type=int, metavar="PID", help="end when this process ends")
    return parser


def settings(arguments: argparse.Namespace) -> NetworkSettings:
    """The network that the command line asks for."""
    return NetworkSettings(
        pds_ports=_pds_ports(arguments.pds_port or [], arguments.pds_count),
        plc_port=arguments.plc_port,
        dns_port=arguments.dns_port,
        entryway_port=arguments.entryway_port,
        hostname=arguments.hostname,
        hosted_domain=arguments.hosted_domain,
        tls_directory=arguments.tls_directory,
        login_delay=arguments.delay_ms / 1000,
        did_doc=arguments.did_doc,
        limits=arguments.limits,
        limits_scale=arguments.limits_scale,
        retry_after=arguments.retry_after,
        accounts=tuple(arguments.account or [DEMO_ACCOUNT]),
        crowd=arguments.crowd,
    )


def _pds_ports(given: list[int], more: int) -> tuple[int, ...]:
    return (*given, *(0 for _ in range(more))) or (0,)


async def run(arguments: argparse.Namespace) -> None:
    """Serve until told to stop."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    network = Network(settings(arguments))
    control = HttpServer(Control(network))
    try:
        await network.start()
        await control.start(arguments.control_port)
        _announce({**describe(network), "control": f"http://{LOOPBACK}:{control.port}"}, arguments.ready_file)
        await _until_stopped(stop, arguments.parent_pid)
    finally:
        await control.close()
        await network.close()


def _announce(where: dict[str, object], ready_file: Path | None) -> None:
    line = json.dumps(where) + "\n"
    if ready_file is not None:
        # Renamed into place, so that whoever waits for the file never reads half of it.
        partial = ready_file.with_name(f"{ready_file.name}.partial")
        partial.write_text(line)
        partial.replace(ready_file)
    sys.stdout.write(line)
    sys.stdout.flush()


async def _until_stopped(stop: asyncio.Event, parent_pid: int | None) -> None:
    while not stop.is_set() and (parent_pid is None or _alive(parent_pid)):
        try:
            await asyncio.wait_for(stop.wait(), _PARENT_CHECK_SECONDS)
        except TimeoutError:
            continue


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


if __name__ == "__main__":
    asyncio.run(run(parser().parse_args()))
