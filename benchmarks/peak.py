"""Peak memory of this process; imports so little that a bare interpreter can be measured with it."""

from __future__ import annotations

import os
import resource
import sys


def peak_bytes() -> int:
    """Largest resident size since the process was started.

    On Linux from /proc: getrusage would count what the process was forked from as well.
    """
    status = "/proc/self/status"
    if os.path.exists(status):  # noqa: PTH110 - pathlib weighs a megabyte
        with open(status, encoding="ascii") as lines:  # noqa: PTH123
            return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
