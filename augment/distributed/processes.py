"""Starting the processes of a group on this machine, and ending all of them as soon as one is lost."""

import logging
import multiprocessing
import os
import pickle
import sys
import tempfile
import warnings
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import torch
from torch import distributed
from torch.multiprocessing.spawn import ProcessExitedException, ProcessRaisedException, start_processes

from augment.distributed.group import Group
from edge_runtime.bundle.errors import RarefaultError, UnavailableError

PATIENCE = timedelta(minutes=30)  # for which a process waits for the others, whatever they do


class ProcessLost(UnavailableError):
    """A process of a group was ended from outside. What it did is in its checkpoint, so the same call goes on."""


def check_processes(count: int, device: str, option: str = "--processes") -> None:
    """Raise UnavailableError where `count` processes, which `option` asked for, have no place on this machine."""
    places = torch.cuda.device_count() if device == "cuda" else os.cpu_count() or 1
    if count > places:
        unit = "GPUs" if device == "cuda" else "logical CPUs"
        raise UnavailableError(
            f"{option} {count} asks for as many {unit}, this machine has {places}; ask for {places} at most"
        )


def run_in_processes(work: Callable[[Group], None], count: int, device: str, what: str) -> None:
    """Call `work`, which has to be picklable, with its Group in each of `count` new processes, and wait for the end.

    On a GPU each has one of its own (nccl), on a CPU an equal part of the cores (gloo). A RarefaultError of one ends
    all and is raised here. ProcessLost is raised, about `what`, where one was ended from outside.
    """
    with tempfile.TemporaryDirectory(prefix="rarefault-") as place:
        # The first group of a command starts a server, which imports what the work needs; the processes are copies of
        # it, so that the import is paid once and no process has threads or a GPU of ours.
        logging.getLogger("torch.multiprocessing.spawn").setLevel(logging.ERROR)  # ProcessLost tells who was ended
        multiprocessing.set_forkserver_preload([type(work).__module__])
        arguments = (work, count, device, Path(place))
        try:
            start_processes(_member, arguments, nprocs=count, start_method="forkserver")  # type: ignore[no-untyped-call]
        except ProcessExitedException as lost:
            how = f"by the signal {lost.signal_name}" if lost.signal_name else f"with the code {lost.exit_code}"
            raise ProcessLost(
                f"{what}: process {lost.error_index + 1} of {count} was ended {how}, so the others were ended too; "
                "start the same command again, it goes on after the last look at the validation images"
            ) from lost
        except ProcessRaisedException as raised:
            if (told := Path(place) / "error").exists():
                raise pickle.loads(told.read_bytes()) from raised  # noqa: S301  # our own process wrote it
            raise


def _member(rank: int, work: Callable[[Group], None], count: int, device: str, place: Path) -> None:
    _settle(rank, count, device)
    backend = "nccl" if device == "cuda" else "gloo"
    meeting = (place / "meeting").as_uri()
    distributed.init_process_group(backend, init_method=meeting, rank=rank, world_size=count, timeout=PATIENCE)
    try:
        work(Group(rank, count))
    except (RarefaultError, torch.OutOfMemoryError, MemoryError) as error:
        _tell(place, error)
        raise
    distributed.destroy_process_group()


def _settle(rank: int, count: int, device: str) -> None:
    warnings.filterwarnings("ignore", category=FutureWarning)  # of libraries, which buries what the training tells
    if rank:
        sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115  # the leader speaks for all
    if device == "cuda":
        torch.cuda.set_device(rank)
    elif "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // count))


def _tell(place: Path, error: BaseException) -> None:
    """Leave the error for the process that waits; where several have one, any of them says what is wrong."""
    own = place / f"error-{os.getpid()}"
    own.write_bytes(pickle.dumps(error))
    own.replace(place / "error")
