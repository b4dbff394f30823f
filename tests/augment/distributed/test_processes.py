"""A real group of two processes trains one network: it ends as one process would, and can be killed."""

import os
import signal
import threading
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from safetensors.torch import load_file

from augment.distributed.group import Group
from augment.distributed.processes import ProcessLost, check_processes, run_in_processes
from augment.engines.local import LocalEngine
from augment.stages import train
from augment.training.finetune import STATE_FILE, Trainer, fit
from augment.training.predictions import read_predictions
from edge_runtime.bundle.errors import InputError, UnavailableError
from tests.support.drawn_run import short, tiny_run, tiny_task
from tests.support.sample_events import wait_until

DEADLINE = 120.0  # seconds
STEP = {"steps": 2, "batch_size": 7, "optimizer": "sgd", "warmup": 0.0}  # one whose size is that of the gradient


@dataclass(frozen=True)
class OneStep:
    """Takes one step in each process and keeps what the network is then, and what the group says of eleven rows."""

    place: Path

    def __call__(self, group: Group) -> None:
        task, frames = tiny_task(self.place / f"data-{group.rank}", **STEP)
        training = Trainer(task, frames, "cpu", group)
        training.shared = group.joined(training.network)
        loss = training.step(0)
        seen, rows = training.positions(0), np.arange(11)
        (squares,) = group.spread(lambda own: (own.astype(np.float64) ** 2,), rows)
        found = {
            "loss": group.mean(loss),
            "squares": torch.from_numpy(squares),
            "images": training.images(seen, 0),
            "positions": torch.from_numpy(seen),
            **{f"network.{name}": tensor for name, tensor in training.network.state_dict().items()},
        }
        torch.save(found, self.place / f"{group.rank}.pt")


@dataclass(frozen=True)
class Refuses:
    """Raises what a person has to mend, in the second process alone."""

    def __call__(self, group: Group) -> None:
        if group.rank == 1:
            raise InputError("the second process found a damaged picture")
        group.wait()


def test_two_processes_take_the_step_that_one_would_take_on_the_whole_batch(tmp_path):
    run_in_processes(OneStep(tmp_path), 2, "cpu", "a step")
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1))
    task, frames = tiny_task(tmp_path / "alone", **STEP)
    alone = Trainer(task, frames, "cpu")
    # The same pictures of the same random views, in the order of the two shares: 4 and 3.
    positions = torch.cat([first["positions"], second["positions"]]).numpy()
    images = torch.cat([first["images"], second["images"]])
    assert sorted(positions) == sorted(alone.positions(0))
    alone.positions = lambda step: positions
    alone.images = lambda positions, step: images
    before = {name: tensor.clone() for name, tensor in alone.network.state_dict().items()}
    loss = alone.step(0)
    # Fifty norms over seven small pictures make more of the last digits of 32 bits than one does.
    assert first["loss"].item() == pytest.approx(loss.item(), rel=1e-3)
    for name, tensor in alone.network.state_dict().items():
        found = first[f"network.{name}"]
        assert torch.equal(found, second[f"network.{name}"]), name
        moved = (tensor - before[name]).float()
        assert (found - tensor).float().norm() <= 0.05 * moved.norm() + 1e-6, name
    assert first["squares"].tolist() == second["squares"].tolist() == [row**2 for row in range(11)]


def test_what_a_person_has_to_mend_is_raised_as_it_was_in_the_process():
    with pytest.raises(InputError, match="the second process found a damaged picture"):
        run_in_processes(Refuses(), 2, "cpu", "a training")


def kill_one_once(condition, killed: list[int]) -> None:
    """Kill the second process of the group below this one as soon as the condition holds."""
    wait_until(condition, DEADLINE)
    mine = [one for one in psutil.Process().children(recursive=True) if _opens_meeting(one)]
    os.kill(mine[-1].pid, signal.SIGKILL)
    killed.append(mine[-1].pid)


def _opens_meeting(process: psutil.Process) -> bool:
    """Whether the process is one of a group, which have connections to each other."""
    return len(process.net_connections()) > 0


def test_a_killed_process_ends_all_and_the_same_call_goes_on_from_the_checkpoint(tmp_path):
    settings, folder = tiny_run(tmp_path)
    settings = short(settings, arms=("real",), steps=24, evaluate_every=2, patience=100)
    state = folder.path / "training" / "real" / "seed-0" / STATE_FILE
    killed: list[int] = []
    killer = threading.Thread(target=kill_one_once, args=(state.exists, killed))
    killer.start()
    with pytest.raises(ProcessLost, match=r"process \d of 2 was ended by the signal SIGKILL.*same command again"):
        train.run(settings, folder, processes=2)
    killer.join()
    assert killed
    assert state.exists()
    assert not any(_opens_meeting(one) for one in psutil.Process().children(recursive=True))
    document = train.run(settings, folder, processes=2)
    (record,) = document.records
    assert (record.steps, record.processes) == (24, 2)
    assert not state.exists()
    # Who asks for one process later, as the next stages do, gets the same document.
    assert train.run(settings, folder).digest == document.digest
    weights = load_file(folder.path / record.path / "model.safetensors")
    assert all(torch.isfinite(tensor).all() for tensor in weights.values())


def test_a_spatial_network_is_shared_too(tmp_path):
    settings, folder = tiny_run(tmp_path, boxed=True)
    settings = short(settings, arms=("real",), head="spatial", batch_size=5)
    (record,) = train.run(settings, folder, processes=2).records
    assert (record.steps, record.processes) == (4, 2)
    answers = read_predictions(folder.path / record.path)
    assert answers.scores is not None
    assert np.isfinite(answers.scores).all()


def test_a_document_of_one_process_does_not_mention_processes(tmp_path):
    task, frames = tiny_task(tmp_path / "run")
    assert "processes" not in vars(fit(task, frames, tmp_path / "done", "cpu"))


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"layers": "classifier"}, "train.layers is classifier"),
        ({"synthetic_norm": True}, "train.synthetic_norm"),
        ({"batch_size": 2}, "train.batch_size is 2"),
    ],
)
def test_what_cannot_be_shared_is_refused_before_it_begins(changed, sentence, tmp_path):
    settings, folder = tiny_run(tmp_path)
    settings = replace(settings, train=replace(settings.train, **changed))
    with pytest.raises(InputError, match=rf"--processes is 3, but {sentence}"):
        train.run(settings, folder, processes=3)


def test_sharing_a_training_and_doing_several_at_a_time_are_refused_together(tmp_path):
    settings, folder = tiny_run(tmp_path)
    with pytest.raises(InputError, match="leave one of the two out"):
        train.run(settings, folder, engine=LocalEngine(), processes=2)


def test_more_processes_than_places_are_refused():
    with pytest.raises(UnavailableError, match=r"--processes 9999 asks for as many logical CPUs, this machine has \d+"):
        check_processes(9999, "cpu")


@pytest.mark.gpu
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
def test_two_gpus_take_the_same_step(tmp_path):
    run_in_processes(OneStep(tmp_path), 2, "cuda", "a step")
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1))
    assert torch.equal(first["network.fc.weight"], second["network.fc.weight"])
