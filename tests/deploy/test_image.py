"""What the Dockerfile's steps make, and that it runs where nothing can be written."""

import http.client
import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from importlib.metadata import Distribution, distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

from sandbox.process import end
from tests.deploy.files import procfile
from tests.deploy.image import Image, build
from tests.servers import Postgres, Valkey, free_port, wait_until

pytestmark = pytest.mark.timeout(600)  # the first test waits for the package index

UNSHARE = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]


def can_unshare() -> bool:
    """Linux, and a machine that lets us."""
    return bool(shutil.which("unshare")) and subprocess.run([*UNSHARE, "true"], check=False).returncode == 0


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    return build(tmp_path_factory.mktemp("root"))


def test_it_has_what_the_package_needs_and_nothing_else(image: Image) -> None:
    """No pip and no build tool, so nothing that a break-in could install with."""
    installed = {canonicalize_name(each.name): each for each in distributions(path=[str(image.packages)])}

    assert installed.keys() == needed(installed, "connector")


def needed(installed: Mapping[NormalizedName, Distribution], name: str) -> set[str]:
    """The package and what it needs here, by canonical names."""
    found: set[str] = set()
    waiting = [Requirement(name)]
    while waiting:
        wanted = waiting.pop()
        name = canonicalize_name(wanted.name)
        extras = {"", *wanted.extras}
        for line in installed[name].requires or []:
            requirement = Requirement(line)
            applies = not requirement.marker or any(requirement.marker.evaluate({"extra": extra}) for extra in extras)
            if applies and canonicalize_name(requirement.name) not in found:
                waiting.append(requirement)
        found.add(name)
    return found


def test_everything_is_compiled_because_nothing_can_be_later(image: Image) -> None:
    sources = {(path.parent, path.stem) for path in image.packages.rglob("*.py")}
    compiled = {(path.parent.parent, path.name.partition(".")[0]) for path in image.packages.rglob("*.pyc")}

    assert (image.packages / "cli", "main") in sources
    assert sources <= compiled


@pytest.mark.skipif(not can_unshare(), reason="needs mount namespaces")
def test_it_runs_without_writing_anything_but_keys(image: Image, postgres: Postgres, valkey: Valkey) -> None:
    settings = {
        "CONNECTOR_DATABASE_URL": postgres.create("image").replace("+psycopg", ""),
        "CONNECTOR_REDIS_URL": valkey.url,
        "CONNECTOR_KEYS_FILE": str(image.root / "keys/worker/keys.json"),
        "CONNECTOR_SHIM_KEYS_FILE": str(image.root / "keys/shim/keys.json"),
    }
    port = free_port()
    for once in (["keys", "generate"], procfile()["release"][1:]):
        with running(image, once, settings) as process:
            assert process.wait(60) == 0, once
    with ExitStack() as stack:
        for name in ("worker", "beat", "api"):
            arguments = procfile()[name][1:]
            process = stack.enter_context(running(image, arguments, {**settings, "PORT": str(port)}))
            stack.callback(process.send_signal, signal.SIGTERM)
        wait_until(lambda: is_ready(port), what="the API to be ready")

    written = {path.relative_to(image.root) for folder in image.written_to for path in folder.rglob("*")}
    assert written == {Path("keys/worker/keys.json"), Path("keys/shim/keys.json")}


def is_ready(port: int) -> bool:
    with suppress(OSError), closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    return False


@contextmanager
def running(image: Image, arguments: list[str], settings: dict[str, str]) -> Iterator["subprocess.Popen[bytes]"]:
    """`connector …` of the image, in a mount namespace in which all but the volumes is read-only."""
    keep = shlex.join(map(str, image.written_to))
    script = f"""
        for each in {keep}; do mount --bind "$each" "$each"; done
        cut -d" " -f2 /proc/self/mounts | while read -r at; do
            case " {keep} " in *" $at "*) ;; *) mount -o remount,bind,ro "$at" 2>/dev/null || true ;; esac
        done
        touch {image.root} 2>/dev/null && exit 99
        exec {shlex.join([str(image.root / "opt/connector/bin/connector"), *arguments])}
    """
    process = subprocess.Popen(
        [*UNSHARE, "/bin/sh", "-euc", script],
        cwd=image.root / "tmp",
        env={**image.env, **settings},
    )
    try:
        yield process
    finally:
        end(process, grace=40)
