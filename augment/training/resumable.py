"""One resumable training loop, for the adapter and every mini model: AdamW, warm-up, decay, averaged weights.

Step `n` draws all its randomness from (seed, n), and weights, average and optimiser travel in one safetensors file that
is replaced whole. So a run killed at any moment and started again ends with the weights of an uninterrupted one.
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor, nn

from edge_runtime.bundle.files import replace_file

Loss = Callable[[nn.Module, np.random.Generator], Tensor]
Say = Callable[[str], None]


@dataclass(frozen=True)
class Schedule:
    """How long and how fast: `steps` of `batch` items at learning rate `rate`."""

    steps: int
    batch: int
    rate: float
    warmup: int = 100  # steps of linear rise
    decay: float = 0.35  # the last share of the steps falls linearly to a fiftieth of `rate`
    average: float = 0.998  # weight of the past in the averaged copy

    def rate_at(self, step: int) -> float:
        """Learning rate of step `step`, counted from 0."""
        left = (self.steps - step) / max(1.0, self.decay * self.steps)
        return self.rate * min(1.0, (step + 1) / self.warmup, max(0.02, left))


def train(
    path: Path, model: nn.Module, loss: Loss, schedule: Schedule, seed: int, say: Say, every: float = 120
) -> None:
    """Train `model` in place until `schedule.steps`, resuming from `path` where it exists; it ends as its average.

    Only parameters that require a gradient are trained, averaged and stored.
    `path` is rewritten every `every` seconds and at the end. Raises nothing of its own: a damaged state file stops with
    the safetensors error, because training on from a guess would be worse.
    """
    weights = trainable(model)
    average = {name: weight.detach().clone() for name, weight in weights.items()}
    optimiser = torch.optim.AdamW(weights.values(), lr=schedule.rate, betas=(0.9, 0.99), weight_decay=0.0, fused=True)
    done = _restore(path, weights, average, optimiser)
    clock = _Clock(path.stem, schedule, say, every, done)
    for step in range(done, schedule.steps):
        for group in optimiser.param_groups:
            group["lr"] = schedule.rate_at(step)
        value = loss(model, np.random.default_rng((seed, step)))
        value.backward()
        nn.utils.clip_grad_norm_(weights.values(), 1.0, foreach=True)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        _follow(average, weights, min(schedule.average, (step + 1) / (step + 10)))
        if clock.tick(step, value):
            _store(path, step + 1, weights, average, optimiser)
    if done < schedule.steps:
        _store(path, schedule.steps, weights, average, optimiser)
    _assign(weights, average)


def trainable(model: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that training changes, by name; tied ones once."""
    return {name: weight for name, weight in model.named_parameters() if weight.requires_grad}


def steps_done(path: Path) -> int:
    """How many steps the state at `path` has behind it; 0 where there is none."""
    if not path.exists():
        return 0
    with safe_open(path, "pt") as file:
        return int(json.loads(file.metadata()["training"])["step"])


def load_average(path: Path, model: nn.Module) -> nn.Module:
    """`model` with the averaged weights stored at `path`, in evaluation mode."""
    with safe_open(path, "pt") as file:
        weights = trainable(model)
        _assign(weights, {name: file.get_tensor(f"average.{name}") for name in weights})
    return model.eval()


class _Clock:
    """Prints progress and says when to save; wall time decides only when, never what."""

    def __init__(self, name: str, schedule: Schedule, say: Say, every: float, done: int) -> None:
        self.name, self.schedule, self.say, self.every = name, schedule, say, every
        self.losses: list[Tensor] = []
        self.told = self.saved = time.monotonic()
        self.told_step = done

    def tick(self, step: int, loss: Tensor) -> bool:
        self.losses.append(loss.detach())
        now = time.monotonic()
        if now - self.told > 30 or step + 1 == self.schedule.steps:
            rate = (step + 1 - self.told_step) * self.schedule.batch / (now - self.told)
            mean = float(torch.stack(self.losses).mean())
            self.say(f"{self.name}: step {step + 1}/{self.schedule.steps} loss {mean:.4f} {rate:.1f} items/s")
            self.told, self.told_step, self.losses = now, step + 1, []
        due = now - self.saved > self.every
        if due:
            self.saved = now
        return due


Weights = Mapping[str, Tensor]


@torch.no_grad()
def _assign(weights: Weights, values: Weights) -> None:
    for name, weight in weights.items():
        weight.copy_(values[name])


@torch.no_grad()
def _follow(average: Weights, weights: Weights, past: float) -> None:
    torch._foreach_lerp_(list(average.values()), list(weights.values()), 1 - past)


def _store(path: Path, step: int, weights: Weights, average: Weights, optimiser: torch.optim.Optimizer) -> None:
    tensors = {f"model.{name}": value for name, value in weights.items()}
    tensors |= {f"average.{name}": value for name, value in average.items()}
    for index, moments in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{index}.{name}": value for name, value in moments.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    plain = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    replace_file(path, save(plain, {"training": json.dumps({"step": step})}))


def _restore(path: Path, weights: Weights, average: Weights, optimiser: torch.optim.Optimizer) -> int:
    if not path.exists():
        return 0
    with safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (safe_open is not a mapping)
    _assign(weights, {name: tensors[f"model.{name}"] for name in weights})
    _assign(average, {name: tensors[f"average.{name}"] for name in weights})
    state = optimiser.state_dict()
    for name, value in tensors.items():
        if name.startswith("optimiser."):
            _, index, key = name.split(".", 2)
            state["state"].setdefault(int(index), {})[key] = value
    optimiser.load_state_dict(state)
    return steps_done(path)
