"""What the options of `connector worker` reach."""

import os
import subprocess
import sys

import pytest

from tests.processes import ROOT

# Runs the command up to where the worker would connect, and prints what its parts were given.
PROGRAM = """
import sys

import worker.bootstrap
from celery.apps.worker import Worker

def build_worker(settings, *senders, **more):
    print(settings.worker_threads)

def start(worker):
    print(worker.concurrency)
    worker.exitcode = 0

worker.bootstrap.build_worker = build_worker
Worker.start = start

from cli.main import app

app(["worker", *sys.argv[1:]])
"""


@pytest.mark.parametrize(("options", "threads"), [(["--threads", "3"], 3), ([], 7)], ids=["option", "setting"])
def test_the_number_of_threads_reaches_every_part(options: list[str], threads: int) -> None:
    told = {"CONNECTOR_WORKER_THREADS": "7", "CONNECTOR_REDIS_URL": "redis://127.0.0.1:1"}
    answer = subprocess.run(
        [sys.executable, "-c", PROGRAM, *options],
        cwd=ROOT,
        env=os.environ | told,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (answer.returncode, answer.stdout, answer.stderr) == (0, f"{threads}\n{threads}\n", "")
