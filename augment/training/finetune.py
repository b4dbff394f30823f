"""One training: a classifier fitted on cached frames, stopped early, resumable to the bit.

Order, views and learning rate are functions of (seed, step), so that a checkpoint needs no state of any random
generator: a training that was killed goes on from its last look at the validation set and ends with the same weights
as one that was not (same machine, same number of threads; on a GPU the last bits may differ).
"""

import copy
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional

from augment.arrays import Labels
from augment.evaluation.metrics import metrics
from augment.progress import progress, say
from augment.records import item_seed
from augment.settings import TrainSettings
from augment.training.ema import average_decay, average_into, norm_state, with_own_norms
from augment.training.frame_cache import Frames
from augment.training.image_transforms import STRONG, random_views
from augment.training.mixing import log_priors, mixed, replaced
from augment.training.predictions import Predictions, write_json, write_predictions
from edge_runtime.bundle.errors import InputError
from edge_runtime.bundle.files import replace_file
from export.checkpoint import CARD_FILE, read_card, save_checkpoint
from export.network import normalise

STATE_FILE = "state.safetensors"  # of an unfinished training
FRAMES_PER_FORWARD = 64  # when predicting; fixed, so that the batch size of a training cannot change what is measured
MOMENTUM = 0.9


@dataclass(frozen=True)
class Examples:
    """Rows of the frame cache and the class of each, both (N,)."""

    rows: Labels
    targets: Labels
    ids: Sequence[str]


@dataclass(frozen=True)
class Task:
    """What one training is, whole: the same task gives the same weights."""

    name: str  # arm/seed-n, for people
    key: str  # digest of everything the result depends on
    section: TrainSettings
    run_seed: int
    seed: int
    labels: tuple[str, ...]
    training: Examples
    generated: npt.NDArray[np.bool_]  # which examples a model made
    stand_ins: npt.NDArray[np.bool_]  # of them, those of a class that has real examples
    weightings: Mapping[float, npt.NDArray[np.float64]]  # by share of generated images, weights of the examples
    last_weights: npt.NDArray[np.float64]  # of the examples in the last steps, which have no stand-ins
    strong_views: bool  # TrivialAugment beside the mild views, whatever the section says
    validation: Examples
    build: Callable[[], nn.Module]  # the network with its initial weights
    card: Mapping[str, Any]  # of the checkpoint


@dataclass
class Progress:
    """How far a training is; with the tensors beside it, all that resuming needs."""

    key: str
    step: int = 0
    best_step: int = 0
    best: list[float] = field(default_factory=lambda: [-1.0, 0.0])  # validation macro F1, minus the loss
    looks_without_better: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    scaler: dict[str, Any] = field(default_factory=dict)  # of the FP16 loss scale; empty on a CPU


def fit(task: Task, frames: Frames, folder: Path, device: str) -> dict[str, Any]:
    """Train `task` or what is left of it into `folder`; returns the checkpoint's card.

    Writes history.json, predictions.json (validation logits), model.safetensors and, last, card.json.
    """
    if (card := finished(folder, task.key)) is not None:
        return card
    folder.mkdir(parents=True, exist_ok=True)
    trainer = _Trainer(task, frames, device)
    trainer.resume(folder / STATE_FILE)
    trainer.run(folder / STATE_FILE)
    card = trainer.finish(folder)
    (folder / STATE_FILE).unlink(missing_ok=True)
    return card


def finished(folder: Path, key: str) -> dict[str, Any] | None:
    """The card of the checkpoint in `folder` if it is the one that `key` names."""
    if not (folder / CARD_FILE).exists():
        return None
    card = read_card(folder)
    return card if card["training"]["key"] == key else None


def predict(network: nn.Module, frames: Frames, device: str) -> np.ndarray:
    """(N, H, W, 3) uint8 BGR frames -> (N, K) float32 logits, in full precision on any device."""
    return classify(network, pooled_features(network, frames, device))


def pooled_features(network: nn.Module, frames: Frames, device: str) -> Tensor:
    """(N, H, W, 3) uint8 BGR frames -> (N, D) float32 features averaged over space, on the network's device."""
    network.eval()
    features = []
    with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
        for start in range(0, len(frames), FRAMES_PER_FORWARD):
            batch = torch.from_numpy(np.array(frames[start : start + FRAMES_PER_FORWARD])).to(device)
            features.append(network.features(normalise(batch)).float().mean((2, 3)))
    return torch.cat(features)


def classify(network: nn.Module, features: Tensor) -> np.ndarray:
    """(N, D) pooled features -> (N, K) float32 logits."""
    with torch.inference_mode():
        return network.get_submodule(network.classifier)(features).float().cpu().numpy()


def batch_positions(count: int, batch_size: int, step: int, seed_of: Callable[[int], int]) -> Labels:
    """Which of `count` images step `step` (from 0) takes: endless shuffled passes, cut into batches.

    `seed_of(pass)` seeds the order of one pass. Every image comes once before any comes twice.
    """
    places = np.arange(step * batch_size, (step + 1) * batch_size)
    orders = {p: np.random.default_rng(seed_of(p)).permutation(count) for p in np.unique(places // count).tolist()}
    return np.array([orders[place // count][place % count] for place in places.tolist()], dtype=np.int64)


def repeated(weights: npt.NDArray[np.float64]) -> Labels:
    """Positions 0..N-1, each as often as its weight over the smallest weight above 0, rounded."""
    return np.repeat(np.arange(len(weights)), np.round(weights / weights[weights > 0].min()).astype(np.int64))


def learning_rate(section: TrainSettings, step: int) -> float:
    """Rate of step `step` (from 0): a linear rise over the warm-up, then a cosine that ends near 0."""
    warmup = round(section.warmup * section.steps)
    if step < warmup:
        return section.learning_rate * (step + 1) / warmup
    done = (step - warmup) / (section.steps - warmup)
    return section.learning_rate * (1 + math.cos(math.pi * done)) / 2


class _Pool:
    """What steps draw from, and what the loss adds to their logits."""

    def __init__(self, task: Task, weights: npt.NDArray[np.float64], replace: float) -> None:
        self.places = repeated(weights)  # positions of the examples, each as often as it weighs
        self.replace = replace  # probability of a stand-in
        priors = log_priors(task.training.targets[self.places], len(task.labels))
        self.margin = torch.zeros_like(priors) if task.section.balance == "none" else priors


class _Trainer:
    """The moving parts of one training: network and its companions, optimiser, best weights, progress."""

    def __init__(self, task: Task, frames: Frames, device: str) -> None:
        self.task, self.frames, self.device = task, frames, device
        self.half = device == "cuda"  # autocast to FP16; a CPU without hardware for it is 10 times slower
        # On a 2-core CPU, channels_last and the fused optimiser together are a quarter faster (72 against 58 images/s).
        self.network = task.build().to(device).to(memory_format=torch.channels_last)
        self.shown = copy.deepcopy(self.network) if task.section.ema else self.network  # what is measured and kept
        both_kinds = task.generated.any() and not task.generated.all()
        self.twin = with_own_norms(self.network) if task.section.synthetic_norm and both_kinds else None
        own = () if self.twin is None else self.twin.parameters()
        self.optimizer = _optimizer(list(dict.fromkeys([*self.network.parameters(), *own])), task.section)
        self.scaler = torch.amp.GradScaler(device, enabled=self.half)
        self.best = _copy(self.network)
        self.pool = _Pool(task, next(iter(task.weightings.values())), task.section.replace)
        self.last_pool = _Pool(task, task.last_weights, 0.0)
        self.progress = Progress(task.key)
        self.losses: list[Tensor] = []  # since the last look

    def run(self, state: Path) -> None:
        section = self.task.section
        steps = range(self.progress.step, section.steps)
        for step in progress(steps, len(steps), f"train {self.task.name}"):
            if self.progress.looks_without_better >= section.patience:
                break
            self._step(step)
            self.progress.step = step + 1
            if self.progress.step % section.evaluate_every == 0 or self.progress.step == section.steps:
                self._look()
                self._save(state)

    def _step(self, step: int) -> None:
        section, pool = self.task.section, self._pool_at(step)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(section, step)
        logits, targets = self._outputs(self._positions(pool, step), step)
        logits = logits + pool.margin.to(self.device)
        loss = functional.cross_entropy(logits, targets, label_smoothing=section.label_smoothing)
        self.optimizer.zero_grad()
        self.scaler.scale(loss).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.losses.append(loss.detach())
        if section.ema:
            average_into(self.shown, self.network, average_decay(section.ema, step))

    def _pool_at(self, step: int) -> _Pool:
        section = self.task.section
        return self.last_pool if step >= section.steps - round(section.real_last * section.steps) else self.pool

    def _positions(self, pool: _Pool, step: int) -> Labels:
        """(batch,) positions of the examples that the step sees."""
        batch = self.task.section.batch_size
        drawn = batch_positions(len(pool.places), batch, step, lambda turn: self._seed(f"order/{turn}"))
        positions = pool.places[drawn]
        if not pool.replace:
            return positions
        targets, instead = self.task.training.targets, self.task.stand_ins
        return replaced(positions, targets, instead, pool.replace, self._seed(f"replace/{step}"))

    def _outputs(self, positions: Labels, step: int) -> tuple[Tensor, Tensor]:
        """(N, K) float32 logits of a step's views, and their targets: (N,) classes, or (N, K) shares where mixed."""
        task, section, seed = self.task, self.task.section, self._seed(f"mix/{step}")
        views = self._views(positions, step)
        targets = torch.from_numpy(task.training.targets[positions]).to(self.device)
        logits, wanted = [], []
        for network, rows in self._branches(task.generated[positions]):
            seen, shares = mixed(views[rows], targets[rows], len(task.labels), section.mixup, section.cutmix, seed)
            with torch.autocast(self.device, dtype=torch.float16, enabled=self.half):
                logits.append(network.train()(seen.contiguous(memory_format=torch.channels_last)))
            wanted.append(shares)
        return torch.cat(logits).float(), torch.cat(wanted)

    def _views(self, positions: Labels, step: int) -> Tensor:
        batch = torch.from_numpy(self.frames[self.task.training.rows[positions]])
        kind = "trivial" if self.task.strong_views else self.task.section.views
        if kind in STRONG:
            batch = STRONG[kind](batch, self._seed(f"{kind}/{step}"))
        generator = torch.Generator().manual_seed(self._seed(f"views/{step}"))
        return random_views(normalise(batch.to(self.device)), generator)

    def _branches(self, generated: npt.NDArray[np.bool_]) -> list[tuple[nn.Module, Any]]:
        """Which network sees which rows of the step; images are mixed within a branch only."""
        if self.twin is None:
            return [(self.network, slice(None))]
        branches = (self.network, np.flatnonzero(~generated)), (self.twin, np.flatnonzero(generated))
        # A lone image has no batch statistics, so it sits the step out.
        return [(network, torch.from_numpy(rows)) for network, rows in branches if len(rows) > 1]

    def _seed(self, item: str) -> int:
        """Not a function of the arm: seed n has the same initial weights, crops and order everywhere."""
        return item_seed(self.task.run_seed, "training", f"seed-{self.task.seed}/{item}")

    def _look(self) -> None:
        """Measure on the validation set; keep the weights if they are the best so far."""
        state, loss = self.progress, torch.stack(self.losses).mean().item()
        self.losses.clear()
        if not math.isfinite(loss):
            raise InputError(
                f"training {self.task.name} diverged: its loss at step {state.step} is {loss}; "
                f"lower train.learning_rate (now {self.task.section.learning_rate})"
            )
        found = self._measure()
        state.history.append({"step": state.step, "training_loss": loss, "validation": found})
        score = [found["macro_f1"], -found["loss"]]
        if score > state.best:
            state.best, state.best_step, state.looks_without_better = score, state.step, 0
            self.best = _copy(self.shown)
        else:
            state.looks_without_better += 1

    def _logits(self) -> np.ndarray:
        return predict(self.shown, self.frames[self.task.validation.rows], self.device)

    def _measure(self) -> dict[str, float]:
        return measures(self._logits(), self.task.validation.targets)

    def _save(self, path: Path) -> None:
        self.progress.scaler = self.scaler.state_dict()
        tensors = {f"network.{name}": tensor for name, tensor in self.network.state_dict().items()}
        tensors |= {f"best.{name}": tensor for name, tensor in self.best.items()}
        if self.shown is not self.network:
            tensors |= {f"shown.{name}": tensor for name, tensor in self.shown.state_dict().items()}
        if self.twin is not None:
            tensors |= {f"twin.{name}": tensor for name, tensor in norm_state(self.twin).items()}
        for index, slots in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{slot}": tensor for slot, tensor in slots.items()}
        plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        replace_file(path, save(plain, {"progress": json.dumps(asdict(self.progress))}))

    def resume(self, path: Path) -> None:
        """Take up the state at `path` if it is there and belongs to this task."""
        if not path.exists():
            return
        with safe_open(path, "pt") as file:
            saved = Progress(**json.loads(file.metadata()["progress"]))
            if saved.key != self.task.key:
                return
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping, only keys()
        self.progress = saved
        if saved.scaler:
            self.scaler.load_state_dict(saved.scaler)
        self.network.load_state_dict(_below(tensors, "network."))
        self.best = _below(tensors, "best.")
        if self.shown is not self.network:
            self.shown.load_state_dict(_below(tensors, "shown."))
        if self.twin is not None:
            self.twin.load_state_dict(_below(tensors, "twin."), strict=False)  # the rest is the network's own
        self._resume_optimizer(_below(tensors, "optimizer."))
        say(f"train {self.task.name}: goes on after step {saved.step} of {self.task.section.steps}")

    def _resume_optimizer(self, tensors: Mapping[str, Tensor]) -> None:
        parameters = [parameter for group in self.optimizer.param_groups for parameter in group["params"]]
        slots: dict[int, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            index, _, slot = name.partition(".")
            like = parameters[int(index)]
            if tensor.shape == like.shape:  # the fused optimiser walks memory: its moments must lie as the weights lie
                tensor = torch.empty_like(like, device="cpu").copy_(tensor)
            slots.setdefault(int(index), {})[slot] = tensor.detach()
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": slots})

    def finish(self, folder: Path) -> dict[str, Any]:
        """Write the results of the best weights; the card comes last and marks the training as done."""
        task, state = self.task, self.progress
        self.shown.load_state_dict(self.best)
        logits = self._logits()
        validation = measures(logits, task.validation.targets)
        write_json(folder / "history.json", state.history)
        write_predictions(folder, Predictions(task.labels, task.validation.ids, task.validation.targets, logits))
        training = {"key": task.key, "steps": state.step, "best_step": state.best_step, "validation": validation}
        save_checkpoint(folder, self.shown, {**task.card, "training": {**task.card["training"], **training}})
        say(
            f"train {task.name}: {state.step} of {task.section.steps} steps, best at {state.best_step}: "
            f"validation macro F1 {validation['macro_f1']:.3f}, accuracy {validation['accuracy']:.3f}"
        )
        return read_card(folder)


def _optimizer(parameters: Sequence[nn.Parameter], section: TrainSettings) -> torch.optim.Optimizer:
    """Weight decay is for weights; norms and biases (one dimension) are left alone."""
    decayed = [parameter for parameter in parameters if parameter.ndim > 1]
    others = [parameter for parameter in parameters if parameter.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": section.weight_decay}, {"params": others, "weight_decay": 0.0}]
    if section.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=section.learning_rate, momentum=MOMENTUM, nesterov=True, fused=True)
    return torch.optim.AdamW(groups, lr=section.learning_rate, fused=True)


def _copy(network: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().clone() for name, tensor in network.state_dict().items()}


def _below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def measures(logits: np.ndarray, targets: Labels) -> dict[str, float]:
    """accuracy, macro_f1, macro_recall (0..1) and loss (cross-entropy, nats) of (N, K) logits."""
    loss = functional.cross_entropy(torch.from_numpy(logits), torch.from_numpy(targets)).item()
    return {**metrics(targets, logits.argmax(axis=1)), "loss": loss}
