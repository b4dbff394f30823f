"""Training that can be killed at any moment and goes on, and the loop that trains the adapter and every mini model.

Step `n` draws all its randomness from (seed, n), and weights, average and optimiser travel in one safetensors file that
is replaced whole. So a run that was killed and started again ends with the weights of an uninterrupted one.
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor, nn

from augment.training.ema import average_decay, update_average
from edge_runtime.bundle.files import replace_file

Network = TypeVar("Network", bound=nn.Module)
Loss = Callable[[Network, np.random.Generator], Tensor]
Say = Callable[[str], None]
Tensors = Mapping[str, Tensor]


def save_state(path: Path, groups: Mapping[str, Tensors], texts: Mapping[str, str]) -> None:
    """Write the groups of named tensors of an unfinished training, and texts, to `path`, whole or not at all."""
    tensors = {f"{group}.{name}": tensor for group, named in groups.items() for name, tensor in named.items()}
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    replace_file(path, save(plain, dict(texts)))


def load_state(path: Path) -> tuple[dict[str, dict[str, Tensor]], dict[str, str]]:
    """Read (groups of tensors, texts). A damaged file stops with the safetensors error: a guess would be worse."""
    groups: dict[str, dict[str, Tensor]] = {}
    with safe_open(path, "pt") as file:
        for key in file.keys():  # noqa: SIM118 - no mapping, only keys()
            group, _, name = key.partition(".")
            groups.setdefault(group, {})[name] = file.get_tensor(key)
        return groups, file.metadata()


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return the moments of every parameter under `<parameter number>.<moment>`."""
    state = optimizer.state_dict()["state"]
    return {f"{index}.{moment}": tensor for index, moments in state.items() for moment, tensor in moments.items()}


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Tensors) -> None:
    """Give an optimiser the moments that `optimizer_tensors` took from one for the same parameters."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        index, _, moment = name.partition(".")
        like = parameters[int(index)]
        if tensor.shape == like.shape:  # the fused optimiser walks memory: its moments must lie as the weights lie
            tensor = torch.empty_like(like, device="cpu").copy_(tensor)
        state.setdefault(int(index), {})[moment] = tensor.detach()
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})


@dataclass(frozen=True)
class Schedule:
    """The length and the pace of a training: `steps` of `batch` items at learning rate `rate`."""

    steps: int
    batch: int
    rate: float
    warmup: int = 100  # steps of linear rise
    decay: float = 0.35  # the last share of the steps falls linearly to a fiftieth of `rate`
    average: float = 0.998  # weight of the past in the averaged copy

    def rate_at(self, step: int) -> float:
        """Return the learning rate of step `step`, counted from 0."""
        left = (self.steps - step) / max(1.0, self.decay * self.steps)
        return self.rate * min(1.0, (step + 1) / self.warmup, max(0.02, left))


def train(
    path: Path, model: Network, loss: Loss[Network], schedule: Schedule, seed: int, say: Say, every: float = 120
) -> None:
    """Train `model` in place until `schedule.steps`, resuming from `path` where it exists; it ends as its average.

    Only parameters that require a gradient are trained, averaged and stored. `path` is rewritten every `every` seconds
    and at the end.
    """
    weights = trainable(model)
    average: dict[str, Tensor] = {name: weight.detach().clone() for name, weight in weights.items()}
    optimizer = torch.optim.AdamW(weights.values(), lr=schedule.rate, betas=(0.9, 0.99), weight_decay=0.0, fused=True)
    done = _restore(path, weights, average, optimizer)
    reporter = _Reporter(path.stem, schedule, say, every, done)
    for step in range(done, schedule.steps):
        for group in optimizer.param_groups:
            group["lr"] = schedule.rate_at(step)
        value = loss(model, np.random.default_rng((seed, step)))
        torch.autograd.backward(value)
        nn.utils.clip_grad_norm_(weights.values(), 1.0, foreach=True)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        update_average(average, weights, average_decay(schedule.average, step))
        reporter.report(step, value)
        if reporter.save_is_due() or step + 1 == schedule.steps:
            _store(path, step + 1, weights, average, optimizer)
    _assign(weights, average)


def trainable(model: nn.Module) -> dict[str, nn.Parameter]:
    """Return the parameters that training changes, by name; tied ones once."""
    return {name: weight for name, weight in model.named_parameters() if weight.requires_grad}


def steps_done(path: Path) -> int:
    """Return how many steps the state at `path` has behind it; 0 where there is none."""
    if not path.exists():
        return 0
    with safe_open(path, "pt") as file:
        return int(json.loads(file.metadata()["training"])["step"])


def load_average(path: Path, model: Network) -> Network:
    """Return `model` with the averaged weights stored at `path`, in evaluation mode."""
    _assign(trainable(model), load_state(path)[0]["average"])
    return model.eval()


class _Reporter:
    """Prints progress and says when to save; wall time decides only when, never what."""

    def __init__(self, name: str, schedule: Schedule, say: Say, every: float, done: int) -> None:
        self.name, self.schedule, self.say, self.every = name, schedule, say, every
        self.losses: list[Tensor] = []  # since the last line
        self.printed = self.saved = time.monotonic()
        self.printed_step = done

    def report(self, step: int, loss: Tensor) -> None:
        """Print a line every 30 seconds and after the last step."""
        self.losses.append(loss.detach())
        now = time.monotonic()
        if now - self.printed > 30 or step + 1 == self.schedule.steps:
            rate = (step + 1 - self.printed_step) * self.schedule.batch / (now - self.printed)
            mean = float(torch.stack(self.losses).mean())
            self.say(f"{self.name}: step {step + 1}/{self.schedule.steps} loss {mean:.4f} {rate:.1f} items/s")
            self.printed, self.printed_step, self.losses = now, step + 1, []

    def save_is_due(self) -> bool:
        """Return whether the last save is long enough ago; the caller then saves."""
        now = time.monotonic()
        due = now - self.saved > self.every
        if due:
            self.saved = now
        return due


@torch.no_grad()
def _assign(weights: Tensors, values: Tensors) -> None:
    for name, weight in weights.items():
        weight.copy_(values[name])


def _store(path: Path, step: int, weights: Tensors, average: Tensors, optimizer: torch.optim.Optimizer) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    groups = {"model": weights, "average": average, "optimiser": optimizer_tensors(optimizer)}
    save_state(path, groups, {"training": json.dumps({"step": step})})


def _restore(path: Path, weights: Tensors, average: Tensors, optimizer: torch.optim.Optimizer) -> int:
    """Take up the state at `path`; returns the steps that it has behind it."""
    if not path.exists():
        return 0
    saved, texts = load_state(path)
    _assign(weights, saved["model"])
    _assign(average, saved["average"])
    restore_optimizer(optimizer, saved["optimiser"])
    return int(json.loads(texts["training"])["step"])
