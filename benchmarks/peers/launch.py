"""Run a command and print as JSON what it took: `python -S -E launch.py COMMAND...`.

A process of its own, and a small one: Linux counts the peak memory of a process from its parent's at the time of the
start, so a large parent would hide what a small child takes.
"""

import json
import os
import subprocess
import sys
import time


def main(command):
    """Print the seconds at which each line of output came, the lines, processor seconds and peak megabytes."""
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    lines, times = [], []
    for line in process.stdout:
        times.append(time.monotonic() - started)
        lines.append(line.decode("utf-8", "replace").rstrip("\n"))
    _, status, used = os.wait4(process.pid, 0)
    taken = {
        "seconds": time.monotonic() - started,
        "processor_seconds": used.ru_utime + used.ru_stime,
        "peak_mb": used.ru_maxrss * 1024 / 1e6,
        "code": os.waitstatus_to_exitcode(status),
        "times": times,
        "lines": lines,
    }
    print(json.dumps(taken))


if __name__ == "__main__":
    main(sys.argv[1:])
