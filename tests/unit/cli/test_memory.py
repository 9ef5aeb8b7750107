"""Arenas are counted in a process of its own: the number can only be set before there are threads."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="glibc's")

# Each thread allocates more than Python's own allocator deals with, and the C library says how many heaps it has.
_COUNT = """
import ctypes, sys, tempfile, threading
if {shares}:
    from cli.memory import share_arenas
    assert share_arenas()
libc = ctypes.CDLL(None)
libc.malloc.restype = libc.fopen.restype = ctypes.c_void_p
barrier = threading.Barrier(8)
def allocate():
    barrier.wait()
    libc.malloc(100_000)
    barrier.wait()
threads = [threading.Thread(target=allocate) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
with tempfile.NamedTemporaryFile() as file:
    stream = ctypes.c_void_p(libc.fopen(file.name.encode(), b"w"))
    libc.malloc_info(0, stream)
    libc.fclose(stream)
    print(file.read().count(b"<heap nr="))
"""


def heaps(*, shares: bool) -> int:
    command = [sys.executable, "-c", _COUNT.format(shares=shares)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def test_threads_share_two_arenas() -> None:
    assert heaps(shares=True) <= 2 < heaps(shares=False)
