"""What a stage hands to an engine, and what an engine is.

A stage says what a batch is and how it is worked on (`Work`); an engine (`Engine`) decides where. Both journal every
finished batch, so that whichever is killed goes on where it stopped, with the other one too.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from typing import Protocol, TypeVar

from augment.json_objects import JsonObject
from augment.progress import progress
from augment.records import Journal

Item = TypeVar("Item")
Item_contra = TypeVar("Item_contra", contravariant=True)
Record = TypeVar("Record", bound=JsonObject)
Record_co = TypeVar("Record_co", bound=JsonObject, covariant=True)


class Work(Protocol[Item_contra, Record_co]):
    """How batches of a stage are worked on. It can be pickled: settings, paths, what all items share, no models.

    The result of a batch must depend on the batch and on nothing else, so that it is the same wherever it is computed.
    Files are written whole before the records that name them are returned.
    """

    @property
    def what(self) -> str:
        """What the batches are called where progress is shown, such as "caption batches"."""

    def start(self) -> Callable[[Sequence[Item_contra]], Sequence[Record_co]]:
        """Load what the work needs, once in each process that works, and return the function of a batch.

        The function returns one record per item and raises RarefaultError for what a person has to mend.
        """


class Engine(ABC):
    """Works on the batches that the journal does not have yet; where, its kinds decide."""

    def map(
        self,
        work: Work[Item, Record],
        batches: Sequence[Sequence[Item]],
        journal: Journal[Record],
        ids: Callable[[Item], str],
    ) -> dict[str, Record]:
        """Return the records of all items by id, in any order; `ids` gives the id of an item's record.

        A batch whose items are all in the journal is not worked on again; any other is, whole.
        """
        done = journal.read()
        if left := [batch for batch in batches if any(ids(item) not in done for item in batch)]:
            # Closed at once when something else ends the loop, so that what is finished is journaled before that is
            # told.
            with closing(self._work_on(work, left, journal, ids)) as found:
                for records in progress(found, len(left), work.what):
                    done |= records
        return done

    @abstractmethod
    def _work_on(
        self,
        work: Work[Item, Record],
        batches: Sequence[Sequence[Item]],
        journal: Journal[Record],
        ids: Callable[[Item], str],
    ) -> Generator[dict[str, Record], None, None]:
        """Yield the records of each batch by id, in any order; each is in the journal at the end, however it comes."""
