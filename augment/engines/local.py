"""The engine without a cluster: one batch after the other in this process."""

import time
from collections.abc import Callable, Sequence

from augment.engines.interface import Item, Record, Work, unfinished
from augment.progress import progress
from augment.records import Journal

# Seconds between two waits for the disk: a wait takes some 10 ms, which is longer than what a quick batch is worth.
JOURNALED_EVERY = 0.25


class LocalEngine:
    """Works on one batch after the other in this process; the default.

    A kill loses the batch at work, and what was finished within JOURNALED_EVERY before it.
    """

    def map(
        self,
        work: Work[Item, Record],
        batches: Sequence[Sequence[Item]],
        journal: Journal[Record],
        ids: Callable[[Item], str],
    ) -> dict[str, Record]:
        """Return the records of all items by id; see `Engine.map`."""
        done = journal.read()
        if left := unfinished(batches, done, ids):
            do = work.start()
            found: list[Record] = []
            latest = time.monotonic()
            try:
                for batch in progress(left, len(left), work.what):
                    records = do(batch)
                    found += records
                    done |= {ids(item): record for item, record in zip(batch, records, strict=True)}
                    if time.monotonic() - latest >= JOURNALED_EVERY:
                        journal.add(found)
                        found, latest = [], time.monotonic()
            finally:  # an interrupt or an error loses no finished batch
                if found:
                    journal.add(found)
        return done


IN_THIS_PROCESS = LocalEngine()  # holds nothing, so that one serves all
