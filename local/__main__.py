"""`python -m local demo|up|deploy|down`: what the make targets of the same names run."""

from __future__ import annotations

import sys

try:
    # Inside the block, so that an interrupt while the modules load is no traceback.
    from local.commands import main

    code = main()
except KeyboardInterrupt:
    code = 130
sys.exit(code)
