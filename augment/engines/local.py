"""The engine without a cluster: one batch after the other in this process."""

import time
from collections.abc import Callable, Generator, Sequence

from augment.engines.interface import Engine, Item, Record, Work
from augment.records import Journal

# Seconds between two waits for the disk: a wait takes some 10 ms, which is longer than what a quick batch is worth.
JOURNALED_EVERY = 0.25


class LocalEngine(Engine):
    """Works on one batch after the other in this process; the default.

    A kill loses the batch at work, and what was finished within JOURNALED_EVERY before it.
    """

    def _work_on(
        self,
        work: Work[Item, Record],
        batches: Sequence[Sequence[Item]],
        journal: Journal[Record],
        ids: Callable[[Item], str],
    ) -> Generator[dict[str, Record], None, None]:
        do = work.start()
        found: list[Record] = []
        latest = time.monotonic()
        try:
            for batch in batches:
                records = do(batch)
                found += records
                if time.monotonic() - latest >= JOURNALED_EVERY:
                    journal.add(found)
                    found, latest = [], time.monotonic()
                yield {ids(item): record for item, record in zip(batch, records, strict=True)}
        finally:  # an interrupt or an error loses no finished batch
            if found:
                journal.add(found)


IN_THIS_PROCESS = LocalEngine()  # holds nothing, so that one serves all
