"""Child processes that run one of this package's modules: a decoder may hang or crash there without harm."""

import contextlib
import subprocess
import sys
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

HOME = Path(__file__).resolve().parents[1]  # the folder of this package
ALLOWED_RESTARTS = 10  # of one process
WITHIN_SECONDS = 600.0


def module_command(module: str, *arguments: str) -> list[str]:
    """Return the command line that runs `module` with this interpreter."""
    return [sys.executable, "-m", module, *arguments]


def start_child(command: Sequence[str], **pipes: Any) -> "subprocess.Popen[bytes]":
    """Start `command`; `pipes` are keywords of `subprocess.Popen`.

    The child works in the folder of this package, where -m looks first: nothing in the user's folder is imported.
    """
    return subprocess.Popen(command, cwd=HOME, **pipes)


def end_child(child: "subprocess.Popen[bytes]") -> int:
    """Kill `child`, close its pipes, wait until it is gone, and return its exit code (of one that had ended, its own).

    After this nothing of the child runs any more, so what it wrote into shared memory changes no more.
    """
    child.kill()
    for pipe in (child.stdin, child.stdout, child.stderr):
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):  # what it never read is still in the buffer
                pipe.close()
    return child.wait()


class RestartBudget:
    """Counts how often processes are replaced: one that dies again and again has a fault, all of them a common one."""

    def __init__(self, names: Iterable[str]) -> None:
        self._times: dict[str, deque[float]] = {name: deque(maxlen=ALLOWED_RESTARTS + 1) for name in names}
        self._known: dict[str, int] = {}

    def spent(self, restarts: Mapping[str, int], now: float) -> bool:
        """Note the `restarts` so far, by name, at `now` (monotonic seconds); return whether all exceed a limit."""
        for name, times in self._times.items():
            times.extend([now] * (restarts[name] - self._known.get(name, 0)))
            self._known[name] = restarts[name]
        over = [len(times) > ALLOWED_RESTARTS and now - times[0] <= WITHIN_SECONDS for times in self._times.values()]
        return bool(over) and all(over)
