"""Stations that are killed while they fetch from a signed repository: `python -m tests.support.killed_downloads`."""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edge_runtime.updates.errors import UpdateDelayed
from edge_runtime.updates.rate_limit import RateLimit
from edge_runtime.updates.repository.download import PART
from edge_runtime.updates.slots import Slots
from edge_runtime.updates.sources import open_source
from edge_runtime.updates.state import UPDATES, load
from edge_runtime.updates.update_process import INCOMING
from tests.support import ROOT
from tests.support.file_server import FileServer
from tests.support.signed_rehearsal import signed_life
from tests.support.update_rehearsal import announce, wrong_with

DELAYED = 3  # exit code of a life whose link was down for too long


@dataclass(frozen=True)
class Kills:
    """The stage of the update at each kill, what was wrong with the disk, and how often a life gave the link up."""

    stages: list[str]
    problems: list[str]
    delayed: int


def update_with_kills(state_dir: Path, url: str, new: Path, seed: int, rate: int, longest: float) -> Kills:
    """Bring the bundle that lies in `new` too; kill each life within `longest` seconds, until one is faster."""
    arguments = [str(state_dir), url, str(new), str(seed), str(rate), str(longest)]
    command = [sys.executable, "-m", "tests.support.killed_downloads", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    return Kills(**json.loads(done.stdout))


@contextlib.contextmanager
def cutting(server: FileServer, seconds: float) -> Iterator[None]:
    """Cut all connections of the server every so many seconds, for the block."""
    over = threading.Event()

    def cut() -> None:
        while not over.wait(seconds):
            server.cut()

    thread = threading.Thread(target=cut, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _kill_until_done(state_dir: Path, url: str, new: Path, chance: random.Random, rate: int, longest: float) -> Kills:
    slots = Slots(state_dir)
    old, stages, problems, delayed = slots.current().name, [], [], 0
    while (code := _life(state_dir, url, rate, chance.uniform(0, longest))) != 0:
        state = load(state_dir)
        if code == DELAYED:
            delayed += 1
        else:
            stages.append(state.stage.value)
        problem = wrong_with(slots, old, state.candidate) or _unlike(state_dir / UPDATES / INCOMING, new)
        problems += [problem] if problem else []
    return Kills(stages, problems, delayed)


def _life(state_dir: Path, url: str, rate: int, seconds: float) -> int:
    """Live for so many seconds at most; the exit code, negative where it was killed."""
    if (child := os.fork()) == 0:
        code = 1
        try:
            signed_life(Slots(state_dir), open_source(url, bytes_per_second=rate), limiter=RateLimit(rate))
            code = 0
        except UpdateDelayed:
            code = DELAYED
        finally:
            os._exit(code)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return _code(status)
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    return _code(os.waitpid(child, 0)[1])


def _code(status: int) -> int:
    code = os.waitstatus_to_exitcode(status)
    assert code in (0, DELAYED, -signal.SIGKILL), f"the station ended with exit code {code}, see above"
    return code


def _unlike(incoming: Path, new: Path) -> str:
    """The first file below `incoming`/DIGEST that has its name without being that of the bundle `new`."""
    for path in sorted(path for path in incoming.glob("*/**/*") if path.is_file() and path.suffix != PART):
        name = Path(*path.relative_to(incoming).parts[1:])
        if path.read_bytes() != (new / name).read_bytes():
            return f"{path} is not the signed file"
    return ""


def main() -> None:
    """Update with kills, as the arguments say, and tell the outcome as JSON."""
    state_dir, url, new, seed, rate, longest = sys.argv[1:]
    kills = _kill_until_done(Path(state_dir), url, Path(new), random.Random(int(seed)), int(rate), float(longest))
    announce(json.dumps(kills.__dict__))


if __name__ == "__main__":
    main()
