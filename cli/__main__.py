"""`python -m cli` runs the command `distillery`."""

from __future__ import annotations

import sys

from cli.app import main

sys.exit(main())
