"""What the image has in it, made without an engine: the Dockerfile's steps, run in a folder that stands for the root.

Where a step names a path at the root, it gets the one in the folder. The steps of the final stage are left out: they
make a user, which needs root, and take over what is there already.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tests.deploy.dockerfile import Instruction, environment, is_ignored, read_stages
from tests.deploy.files import DOCKERFILE
from tests.processes import ROOT

_FOLDERS = ("opt", "src", "wheels", "keys", "tmp")
_AT_THE_ROOT = re.compile(rf"(?<![\w./-])/(?={'|'.join(_FOLDERS)})")

# Which index pip asks, how, and which certificates it trusts, is the machine's business.
_OF_THE_MACHINE = re.compile(r"PIP_|SSL_|REQUESTS_|https?_proxy|no_proxy", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Image:
    """`root` stands for the root of a container, `env` is what its processes find in their environment."""

    root: Path
    env: Mapping[str, str]

    @property
    def packages(self) -> Path:
        (found,) = self.root.glob("opt/connector/lib/python*/site-packages")
        return found

    @property
    def written_to(self) -> list[Path]:
        """What a container may write to, as docker-compose.yml has it."""
        return [self.root / name for name in ("tmp", "keys/worker", "keys/shim")]


def build(root: Path) -> Image:
    """Runs the steps in the empty folder `root`. Needs a package index; takes a minute."""
    stage, final = read_stages(DOCKERFILE)
    for name in _FOLDERS:
        (root / name).mkdir()
    for name in ("keys/worker", "keys/shim"):
        (root / name).mkdir(parents=True)
    env = {**_tools(root), "HOME": str(root / "tmp")}
    folder = root
    for step in stage:
        if step.name == "WORKDIR":
            folder = Path(_inside(root, step.text))
        elif step.name == "ENV":
            env |= _inside_all(root, environment([step], env["PATH"]))
            env.pop("PIP_NO_CACHE_DIR", None)  # the machine's own, which spares the index
        elif step.name == "COPY":
            _copy(step, folder)
        elif step.name == "RUN":
            subprocess.run(["/bin/sh", "-euc", _inside(root, step.text)], cwd=folder, env=env, check=True)
    runs = {"PATH": os.defpath, "HOME": str(root / "tmp")}
    return Image(root, {**runs, **_inside_all(root, environment(final, runs["PATH"]))})


def _tools(root: Path) -> dict[str, str]:
    """A `python` and a `pip` that know of no other packages, as the base image has them."""
    subprocess.run([sys.executable, "-m", "venv", root / "python"], check=True)
    kept = {name: value for name, value in os.environ.items() if _OF_THE_MACHINE.match(name)}
    cache = os.environ.get("PIP_CACHE_DIR", str(Path.home() / ".cache/pip"))
    return {**kept, "PIP_CACHE_DIR": cache, "PATH": f"{root / 'python/bin'}{os.pathsep}{os.defpath}"}


def _copy(step: Instruction, folder: Path) -> None:
    *sources, target = step.words
    for source in sources:
        at = folder / target / source if target.endswith("/") else folder / target
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, at, ignore=_ignored)
        else:
            shutil.copy(ROOT / source, at)


def _ignored(folder: str, names: list[str]) -> list[str]:
    here = PurePosixPath(folder).relative_to(ROOT)
    return [name for name in names if is_ignored(here / name, ROOT / ".dockerignore")]


def _inside(root: Path, text: str) -> str:
    return _AT_THE_ROOT.sub(f"{root}/", text)


def _inside_all(root: Path, variables: Mapping[str, str]) -> dict[str, str]:
    return {name: _inside(root, value) for name, value in variables.items()}
