"""Peak memory of this process. Imports little, so that a bare interpreter can be measured."""

from __future__ import annotations

import os
import resource
import sys


def peak_bytes() -> int:
    """Return the largest resident size of this process in bytes.

    On Linux it is read from /proc, because getrusage also counts the memory of the parent before the fork.
    """
    status = "/proc/self/status"
    if os.path.exists(status):  # noqa: PTH110  # pathlib uses a megabyte
        with open(status, encoding="ascii") as lines:  # noqa: PTH123
            return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
