"""The engine without a cluster: one batch after the other in this process."""

from collections.abc import Callable, Sequence

from augment.engines.interface import Item, Record, Work, unfinished
from augment.progress import progress
from augment.records import Journal


class LocalEngine:
    """Works on one batch after the other in this process; the default."""

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
            for batch in progress(left, len(left), work.what):
                records = do(batch)
                journal.add(records)
                done |= {ids(item): record for item, record in zip(batch, records, strict=True)}
        return done


IN_THIS_PROCESS = LocalEngine()  # holds nothing, so that one serves all
