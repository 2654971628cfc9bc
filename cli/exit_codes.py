"""The exit codes of the commands. Scripts depend on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from distillery.generation.states import GenerationState
from distillery.runs.states import State

if TYPE_CHECKING:
    from distillery.generation.states import Generation
    from distillery.runs.states import Run

SUCCESS = 0
ERROR = 1
"""A stack that cannot be reached, or input that the user must change."""
USAGE_ERROR = 2
"""An unknown command or option, or a value that an option does not take."""
REJECTED = 2
FAILED = 3
NOT_PROMOTED = 4
DUPLICATE = 5
TIMED_OUT = 6
BROKEN_PIPE = 141
"""128 + SIGPIPE, as shells report it."""
FINDINGS = 1
"""`distillery doctor`: the dataset has errors or warnings."""
UNREADABLE = 2
"""`distillery doctor`: the file cannot be read."""

RUN_EXIT_CODES = {
    State.PROMOTED: SUCCESS,
    State.REJECTED: REJECTED,
    State.FAILED: FAILED,
    State.NOT_PROMOTED: NOT_PROMOTED,
    State.DUPLICATE: DUPLICATE,
}
GENERATION_EXIT_CODES = {
    GenerationState.REJECTED: REJECTED,
    GenerationState.FAILED: FAILED,
    GenerationState.STOPPED: FAILED,
}
"""For a generation that starts no run. Otherwise the exit code is the run's."""


def run_exit_code(run: Run) -> int:
    """The exit code for a run that has ended; a retired run has the code of its verdict."""
    if run.state is State.RETIRED:
        return RUN_EXIT_CODES[State.PROMOTED if run.entered(State.PROMOTED) else State.NOT_PROMOTED]
    return RUN_EXIT_CODES[run.state]


def generation_exit_code(generation: Generation) -> int:
    """The exit code for a generation that has ended without a run."""
    return GENERATION_EXIT_CODES.get(generation.state, ERROR)
