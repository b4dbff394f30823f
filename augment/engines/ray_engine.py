"""The engine of many GPUs and machines: Ray Data hands batches to workers, one process each.

Ray Data restarts a worker that was lost and hands its batch out again; its own checkpoints are not used, since they do
finished rows again when a block fails. A worker journals each batch itself, into a file of its own beside the stage's
journal, before it answers, and so knows after a restart what it had finished.
"""

import importlib
import logging
import os
import shutil
import socket
import tempfile
import uuid
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any, Generic

from augment.engines.interface import Engine, Item, Record, Work
from augment.engines.settle import settle_process
from augment.progress import say
from augment.records import Journal
from edge_runtime.bundle.errors import InputError, RarefaultError, UnavailableError
from edge_runtime.bundle.files import lock_file, sha256_bytes

STORE_BYTES = 200_000_000  # of Ray's object store where we start it; what goes through it are descriptions, no pictures
AHEAD = 2  # batches that a worker has at a time: the one that it works on, and the next
LOSSES = 3  # workers that a batch may lose; at more the batch itself must be what kills them
MOST_BLOCKS = 1000  # that the batches are cut into; each is an object that Ray keeps books of
CONNECT_SECONDS = 10.0
PREFIX, HELD = "rf-", "held"  # of the folder of a Ray that was started here, and its locked file
PACKAGE, VERSION = "rarefault", "version"
_TOLD = (RarefaultError, OSError)  # errors of a worker that the command tells as its own: a full disk is one


class RayEngine(Engine):
    """Spreads batches over `workers` processes of a Ray cluster, which it connects to when there is something to do."""

    def __init__(self, workers: int | None = None, address: str = "", gpus: bool = False) -> None:
        self._asked, self._address, self._gpus = workers, address, gpus
        self._temporary = ""  # the folder of the Ray that was started here
        self._held: IO[bytes] | None = None  # by which others see that it is in use
        self._connected = False
        ray_module("ray.data")
        cores = os.cpu_count() or 1
        if not address and workers and workers > cores:
            raise InputError(
                f"--workers {workers} on this machine with {cores} logical CPUs: each would load the models into the "
                f"same memory and wait for the others; give at most {cores}, or the --ray-address of a cluster"
            )

    def _work_on(
        self,
        work: Work[Item, Record],
        batches: Sequence[Sequence[Item]],
        journal: Journal[Record],
        ids: Callable[[Item], str],
    ) -> Generator[dict[str, Record], None, None]:
        with _Token(journal.path.parent) as token:
            yield from self._spread(_Order(work, journal, ids, token), batches)
            if lost := sum(1 for _ in token.begun()):
                say(f"{work.what}: {lost} lost their worker and were worked on again")

    def close(self) -> None:
        """Leave the cluster; one that was started here ends."""
        if self._connected:
            ray_module("ray").shutdown()
        if self._temporary:
            shutil.rmtree(self._temporary, ignore_errors=True)
        if self._held:
            self._held.close()

    def _spread(self, order: "_Order[Item, Record]", batches: Sequence[Sequence[Item]]) -> Iterator[dict[str, Record]]:
        """Yield the records of each batch by id, as they come."""
        data = ray_module("ray.data")
        workers, gpus, threads = self._connect()
        pickle = ray_module("ray.cloudpickle")
        context = data.DataContext.get_current()
        context.enable_progress_bars = context.print_on_execution_start = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        rows = [{"batch": pickle.dumps(batch)} for batch in batches]
        answers = data.from_items(rows, override_num_blocks=min(len(rows), MOST_BLOCKS)).map(
            _Worker,
            fn_constructor_args=(pickle.dumps(order), str(Path.cwd()), threads),
            compute=data.ActorPoolStrategy(size=min(workers, len(rows)), max_tasks_in_flight_per_actor=AHEAD),
            num_cpus=1,
            num_gpus=gpus,
        )
        for row in answers.iter_rows():
            answer = pickle.loads(row["answer"])
            if isinstance(answer, _TOLD):
                raise answer
            yield answer

    def _connect(self) -> tuple[int, int, int]:
        """Connect to Ray and return the number of workers, the GPUs of each, and the threads of each."""
        ray = ray_module("ray")
        if not ray.is_initialized():
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
            os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # its own log of a lost worker
            quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
            if self._address:
                self._join(ray, quiet)
            else:
                self._start(ray, quiet)
            self._connected = True
        resources = ray.cluster_resources()
        cpus, gpus = int(resources.get("CPU", 0)), int(resources.get("GPU", 0))
        each = 1 if self._gpus and gpus else 0
        workers = self._asked or (gpus if each else max(1, cpus - 1))
        check_room(workers, cpus, gpus if each else None)
        cores = cpus if self._address else os.cpu_count() or 1
        return workers, each, max(1, cores // workers)

    def _join(self, ray: Any, quiet: dict[str, Any]) -> None:
        host, _, port = self._address.rpartition(":")
        try:
            if host and port.isdigit():  # Ray would wait for minutes for somebody to listen there
                socket.create_connection((host, int(port)), CONNECT_SECONDS).close()
            ray.init(address=self._address, **quiet)
        except (OSError, RuntimeError, ValueError) as error:
            raise UnavailableError(
                f"no Ray cluster answers at {self._address} ({str(error).splitlines()[0]}); start one by `ray start "
                "--head`, type the command on one of its machines, or leave --ray-address out"
            ) from error

    def _start(self, ray: Any, quiet: dict[str, Any]) -> None:
        # Workers do what the command would do itself; Ray would let them wait for whatever else runs (nice 15).
        os.environ.setdefault("RAY_worker_niceness", "0")
        # Ray's sockets lie below this folder, and the path of a socket may have some 100 characters.
        self._temporary, self._held = _own_folder(Path("/tmp"))
        cores = os.cpu_count() or 1
        # One logical CPU more than workers: Ray Data needs it for tasks of its own.
        cpus = max(cores, (self._asked or 1) + 1)
        here: dict[str, Any] = {"num_cpus": cpus, "object_store_memory": STORE_BYTES, "_temp_dir": self._temporary}
        ray.init(address="local", include_dashboard=False, **here, **quiet)


def _own_folder(base: Path) -> tuple[str, IO[bytes]]:
    """Return a new folder below `base`, and the open file that keeps it; remove those that killed commands left."""
    for left in base.glob(f"{PREFIX}*/{HELD}"):
        with suppress(OSError), left.open("rb") as file:  # OSError: it is in use, or somebody else's
            lock_file(file)
            shutil.rmtree(left.parent, ignore_errors=True)
    place = Path(tempfile.mkdtemp(prefix=PREFIX, dir=base))
    held = (place / f".{HELD}").open("wb")
    lock_file(held)
    (place / f".{HELD}").rename(place / HELD)  # only now can others see it, who would take it for left
    return str(place), held


def check_room(workers: int, cpus: int, gpus: int | None) -> None:
    """Raise InputError unless a cluster with `cpus` logical CPUs has room for the workers, one GPU each if it is told.

    Ray Data 2.60 waits for ever, without a word, where the workers take all logical CPUs.
    """
    if workers >= cpus:
        raise InputError(
            f"{workers} workers on a Ray cluster with {cpus} logical CPUs: one has to be free, or Ray Data waits for "
            f"ever; give --workers {max(1, cpus - 1)}, or start Ray with more of them (`ray start --num-cpus`)"
        )
    if gpus is not None and workers > gpus:
        raise InputError(
            f"{workers} workers need a GPU each, the Ray cluster has {gpus}: they would wait for ever; "
            f"give --workers {gpus}, or set device to cpu"
        )


def ray_module(name: str) -> Any:
    """Return a module of Ray. Raises UnavailableError where it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UnavailableError(
            f"--engine ray needs Ray, which is not installed ({error}): pip install '{PACKAGE}[cluster]', or leave "
            "--engine out"
        ) from error


class _Token:
    """A folder beside the journal while workers run: one that does not see it writes into another run folder.

    It holds a file for each batch that a worker has begun and not answered. So a batch that kills its workers is known,
    which Ray would hand out for ever.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / f".engine-{uuid.uuid4().hex}"

    def __enter__(self) -> "_Token":
        for left in self.path.parent.glob(".engine-*"):  # by a killed command; a worker of it that lives yet ends by it
            shutil.rmtree(left, ignore_errors=True)
        self.path.mkdir()
        (self.path / VERSION).write_text(version(PACKAGE))
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.path, ignore_errors=True)

    def begun(self, batch: str = "") -> Iterator[Path]:
        """Yield the files of the workers that have begun `batch`, or any, and not answered."""
        return self.path.glob(f"{batch or '*'}.begun-*")

    @contextmanager
    def begin(self, first: str) -> Iterator[None]:
        """Note, for as long as it is so, that a worker is at the batch whose first item is `first`.

        Raises UnavailableError where too many workers were lost at it.
        """
        batch = sha256_bytes(first.encode())[:16]
        if (lost := sum(1 for _ in self.begun(batch))) > LOSSES:
            raise UnavailableError(
                f"{lost} workers were lost one after the other at the batch that begins with {first}, the last on "
                f"{os.uname().nodename}; what was finished is kept. Look whether memory is short there, take fewer "
                "--workers or a smaller batch_size, and type the command again"
            )
        mark = self.path / f"{batch}.begun-{uuid.uuid4().hex}"
        mark.touch()
        try:
            yield
        finally:
            mark.unlink()


class _Order(Generic[Item, Record]):
    """What a worker is told when it starts."""

    def __init__(
        self, work: Work[Item, Record], journal: Journal[Record], ids: Callable[[Item], str], token: _Token
    ) -> None:
        self.work, self.journal, self.ids, self.token = work, journal, ids, token

    def check(self) -> None:
        """Raise InputError unless this process sees the run folder of the one that gave the order, and is alike."""
        host, own, place = os.uname().nodename, version(PACKAGE), self.token.path
        if not place.is_dir():
            raise InputError(
                f"the worker on {host} does not see {place.parent.resolve()}: every machine of the cluster has "
                "to have the run folder, the pictures and the models at the same path, such as on one network drive"
            )
        if (seen := (place / VERSION).read_text()) != own:
            raise InputError(f"the worker on {host} runs rarefault {own}, the command {seen}: install the same version")


class _Worker:
    """One process that works on batches; Ray Data calls it with one row per batch."""

    def __init__(self, order: bytes, folder: str, threads: int) -> None:
        settle_process(threads)  # before the order is read, which may load torch
        self._order, self._folder = order, folder
        self._do: Callable[[bytes], dict[str, object]] | None = None

    def __call__(self, row: dict[str, bytes]) -> dict[str, object]:
        """Return the records of the batch by id, or the error that a person has to mend."""
        pickle = ray_module("ray.cloudpickle")
        try:
            if self._do is None:
                self._do = self._started()
            return self._do(row["batch"])
        except _TOLD as error:
            return {"answer": pickle.dumps(error)}

    def _started(self) -> Callable[[bytes], dict[str, object]]:
        """Load what the work needs and return the function of a batch."""
        pickle = ray_module("ray.cloudpickle")
        if not Path(self._folder).is_dir():
            raise InputError(
                f"the worker on {os.uname().nodename} has no folder {self._folder}, from which it was asked"
            )
        os.chdir(self._folder)  # relative paths mean what they mean to the command
        order: _Order[Any, Any] = pickle.loads(self._order)
        order.check()
        before = order.journal.read()  # what a process that this one replaces had finished, among others
        part, do = order.journal.part(uuid.uuid4().hex[:12]), order.work.start()

        def worked(packed: bytes) -> dict[str, object]:
            batch = pickle.loads(packed)
            ids = [order.ids(item) for item in batch]
            if all(item in before for item in ids):
                return {"answer": pickle.dumps({item: before[item] for item in ids})}
            with order.token.begin(ids[0]):
                records = do(batch)
                part.add(records)
            return {"answer": pickle.dumps(dict(zip(ids, records, strict=True)))}

        return worked
