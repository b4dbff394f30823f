"""The processes that a test has started."""

import psutil


def capture_processes() -> list[psutil.Process]:
    """Return the living capture processes of this one; other tests may have left servers of theirs beside them."""
    found = []
    for child in psutil.Process().children():
        try:
            if child.status() != psutil.STATUS_ZOMBIE and any("capture_process" in word for word in child.cmdline()):
                found.append(child)
        except psutil.NoSuchProcess:
            pass
    return found
