"""`python -m cli` is the command `distillery`."""

from __future__ import annotations

import sys

from cli.cli import main

sys.exit(main())
