"""How the C library keeps the memory of a process with many threads."""

import ctypes
import os

# https://man7.org/linux/man-pages/man3/mallopt.3.html
_M_ARENA_MAX = -8
_ARENAS = 2


def share_arenas() -> bool:
    """Lets the threads share two of glibc's arenas, unless the environment says otherwise. False elsewhere.

    By itself it has eight for each core, and what one thread has freed no other may use: a tenth of a worker's memory
    lies idle. Threads of Python allocate one after the other anyway. To be called before there are any.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None or "MALLOC_ARENA_MAX" in os.environ:
        return False
    return bool(mallopt(_M_ARENA_MAX, _ARENAS))
