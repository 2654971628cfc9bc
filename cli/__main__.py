"""The command `distillery`, which `python -m cli` runs too."""

from __future__ import annotations

import sys


def main() -> int:
    """Run a command and return its exit code."""
    try:
        # Inside the block, so that an interrupt while the modules load is no traceback.
        from cli.app import main as run

        return run()
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
