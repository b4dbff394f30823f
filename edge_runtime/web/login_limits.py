"""How often somebody may try to log in: free at first, then slower and slower, by account and by address."""

import ipaddress
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

FREE = 5  # attempts that fail before the first wait
LONGEST = 60.0  # seconds; an operator who is kept out by somebody else's guesses waits no longer
FORGIVE = 300.0  # seconds without an attempt, after which one failure less counts
MOST = 4096  # accounts and addresses that are remembered, each


class LoginLimits:
    """Counts attempts before they are checked, so that many at once count too. Any thread may use it."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._counts: tuple[OrderedDict[str, tuple[int, float]], ...] = (OrderedDict(), OrderedDict())
        self._lock = threading.Lock()

    def attempt(self, account: str, address: str) -> int:
        """Note an attempt and return 0, or the whole seconds to wait before the next one counts."""
        now = self._monotonic()
        keys = (account[:64], _network(address))
        with self._lock:
            known = [self._known(counts, key, now) for counts, key in zip(self._counts, keys, strict=True)]
            wait = max(last + _wait(count) - now for count, last in known)
            if wait > 0:
                return math.ceil(wait)
            for counts, key, (count, _) in zip(self._counts, keys, known, strict=True):
                counts[key] = (count + 1, now)
                counts.move_to_end(key)
                if len(counts) > MOST:
                    counts.popitem(last=False)
            return 0

    def succeeded(self, account: str, address: str) -> None:
        """Take back the attempt, which was right; the address keeps its earlier failures, the account none."""
        by_account, by_address = self._counts
        with self._lock:
            by_account.pop(account[:64], None)
            if (found := by_address.get(_network(address))) is not None:
                by_address[_network(address)] = (max(0, found[0] - 1), found[1])

    def _known(self, counts: OrderedDict[str, tuple[int, float]], key: str, now: float) -> tuple[int, float]:
        count, last = counts.get(key, (0, now))
        return max(0, count - int((now - last) / FORGIVE)), last


def _wait(failures: int) -> float:
    return 0.0 if failures < FREE else min(LONGEST, 2.0 ** (failures - FREE))


def _network(address: str) -> str:
    """Return the address; of IPv6 the /64, since whoever has one has 2^64 of them."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:64]
    return str(parsed) if parsed.version == 4 else str(ipaddress.ip_network((parsed, 64), strict=False))
