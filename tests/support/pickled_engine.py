"""An engine that hands work to Ray's worker as a cluster does, pickled, but calls it in this process."""

from pathlib import Path

from augment.engines.interface import Engine
from augment.engines.ray_engine import _Order, _Token, _Worker, ray_module


class PickledEngine(Engine):
    """Takes two workers in turns."""

    def _work_on(self, work, batches, journal, ids):
        pickle = ray_module("ray.cloudpickle")
        with _Token(journal.path.parent) as token:
            order = pickle.dumps(_Order(work, journal, ids, token))
            workers = [_Worker(order, str(Path.cwd()), 1) for _ in range(2)]
            for at, batch in enumerate(batches):
                yield pickle.loads(workers[at % 2]({"batch": pickle.dumps(batch)})["answer"])
