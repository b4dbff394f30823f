"""One training: a classifier fitted on cached frames, stopped early, resumable to the bit.

Order, transforms and learning rate are functions of (seed, step), so that a state needs none of any random generator: a
training that was killed goes on from its last evaluation on the validation set and ends with the same weights as one
that was not (same machine, same number of threads; on a GPU the last bits may differ).
"""

import copy
import json
import math
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from augment.arrays import Labels, Numbers, Vectors
from augment.distributed.group import ALONE, Group
from augment.evaluation.metrics import metrics
from augment.json_objects import from_json, plain, write_json
from augment.progress import progress, say
from augment.record_types import Evaluation, PlainJson, TrainingResult
from augment.records import item_seed
from augment.settings import TrainSettings
from augment.training import resumable
from augment.training.cross_fit import Folds
from augment.training.ema import average_decay, update_average
from augment.training.image_transforms import STRONG, random_transforms
from augment.training.mixing import log_priors, mixed, replaced
from augment.training.predictions import Predictions, write_predictions
from augment.training.split_batch_norm import norm_state, shared_weight_copy
from edge_runtime.bundle.errors import InputError
from edge_runtime.bundle.preprocess import Frames
from export.checkpoint import CARD_FILE, WEIGHTS_FILE, read_card, save_checkpoint
from export.network import Backbone, normalise

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
    """Everything that decides one training: the same task gives the same weights."""

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
    strong_transforms: bool  # TrivialAugment beside the mild transforms, whatever the section says
    validation: Examples
    build: Callable[[], nn.Module]  # the network with its initial weights
    card: PlainJson  # of the checkpoint
    folds: Folds | None = None  # with them, `validation` are all real pictures, those that it learns from too


@dataclass
class Progress:
    """How far a training is; with the tensors beside it in a state file, all that resuming needs."""

    key: str
    step: int = 0
    best_step: int = 0
    best: list[float] = field(default_factory=lambda: [-1.0, 0.0])  # of Trainer.measured: macro F1, minus the loss
    looks_without_better: int = 0
    history: list[Evaluation] = field(default_factory=list)
    scaler: dict[str, float] = field(default_factory=dict)  # of the FP16 loss scale; empty on a CPU
    processes: int = 1  # the most that any part of the training was shared by


def fit(task: Task, frames: Frames, folder: Path, device: str, group: Group = ALONE) -> TrainingResult:
    """Train `task`, or what is left of it, into `folder`; in a `group`, all of whose processes call this.

    Writes history.json, predictions.json (validation logits), model.safetensors and, last, card.json.
    """
    return completed(folder, task, lambda: Trainer(task, frames, device, group), group)


def completed(folder: Path, task: Task, prepare: Callable[[], "Trainer"], group: Group = ALONE) -> TrainingResult:
    """Return the result of the training that `prepare` begins, after what is left of it has run in `folder`."""
    if (result := finished(folder, task.key)) is None:
        folder.mkdir(parents=True, exist_ok=True)
        trainer = prepare()
        trainer.resume(folder / STATE_FILE)
        trainer.run(folder / STATE_FILE)
        if group.leads:
            trainer.finish(folder)
        group.wait()
        result = _result(read_card(folder))
    (folder / STATE_FILE).unlink(missing_ok=True)
    return result


def finished(folder: Path, key: str) -> TrainingResult | None:
    """Return the result that the checkpoint in `folder` holds if it is the one that `key` names."""
    if not (folder / CARD_FILE).exists():
        return None
    card = read_card(folder)
    return _result(card) if card["training"]["key"] == key else None


def _result(card: PlainJson) -> TrainingResult:
    done, sha256 = card["training"], card["files"][WEIGHTS_FILE]["sha256"]
    steps, best_step, validation = done["steps"], done["best_step"], done["validation"]
    shared = done.get("processes")
    return TrainingResult(sha256=sha256, steps=steps, best_step=best_step, validation=validation, processes=shared)


def predict(network: nn.Module, frames: Frames, device: str) -> Vectors:
    """Compute (N, H, W, 3) uint8 BGR frames -> (N, K) float32 logits, in full precision on any device."""
    return classify(network, pooled_features(network, frames, device))


def pooled_features(network: nn.Module, frames: Frames, device: str) -> Tensor:
    """Compute (N, H, W, 3) uint8 BGR frames -> (N, D) float32 features averaged over space, on the network's device."""
    network.eval()
    features = []
    with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
        for start in range(0, len(frames), FRAMES_PER_FORWARD):
            batch = torch.from_numpy(np.array(frames[start : start + FRAMES_PER_FORWARD])).to(device)
            features.append(cast(Backbone, network).features(normalise(batch)).float().mean((2, 3)))
    return torch.cat(features)


def classify(network: nn.Module, features: Tensor) -> Vectors:
    """Compute (N, D) pooled features -> (N, K) float32 logits."""
    with torch.inference_mode():
        return np.asarray(head(network)(features).float().cpu().numpy())


def head(network: nn.Module) -> nn.Linear:
    """Return the last linear layer of a network."""
    return cast(nn.Linear, network.get_submodule(cast(Backbone, network).classifier))


def batch_positions(count: int, batch_size: int, step: int, seed_of: Callable[[int], int]) -> Labels:
    """Return which of `count` images step `step` (from 0) takes: endless shuffled passes, cut into batches.

    `seed_of(pass)` seeds the order of one pass. Every image comes once before any comes twice.
    """
    places = np.arange(step * batch_size, (step + 1) * batch_size)
    orders = {p: np.random.default_rng(seed_of(p)).permutation(count) for p in np.unique(places // count).tolist()}
    return np.array([orders[place // count][place % count] for place in places.tolist()], dtype=np.int64)


def repeated(weights: npt.NDArray[np.float64]) -> Labels:
    """Return positions 0..N-1, each as often as its weight over the smallest weight above 0, rounded."""
    return np.repeat(np.arange(len(weights)), np.round(weights / weights[weights > 0].min()).astype(np.int64))


def learning_rate(section: TrainSettings, step: int) -> float:
    """Return the rate of step `step` (from 0): a linear rise over the warm-up, then a cosine that ends near 0."""
    warmup = round(section.warmup * section.steps)
    if step < warmup:
        return section.learning_rate * (step + 1) / warmup
    done = (step - warmup) / (section.steps - warmup)
    return section.learning_rate * (1 + math.cos(math.pi * done)) / 2


class _Pool:
    """The examples that steps draw from, and what the loss adds to their logits."""

    def __init__(self, task: Task, places: Labels, replace: float) -> None:
        self.places = places  # positions of the examples, one as often as it shall be drawn
        self.replace = replace  # probability of a stand-in
        priors = log_priors(task.training.targets[self.places], len(task.labels))
        self.margin = torch.zeros_like(priors) if task.section.balance == "none" else priors


class Trainer:
    """The moving parts of one training: network and its copies, optimiser, best weights, progress."""

    def __init__(self, task: Task, frames: Frames, device: str, group: Group = ALONE, half: bool | None = None) -> None:
        self.task, self.frames, self.device, self.group = task, frames, device, group
        # Autocast to FP16, on a GPU unless `half` says otherwise; a CPU without hardware for it is 10 times slower.
        self.half = device == "cuda" if half is None else half
        # On a 2-core CPU, channels_last and the fused optimiser together are a quarter faster (72 against 58 images/s).
        self.network = group.prepared(self.build().to(device).to(memory_format=torch.channels_last))
        self.shared = self.network  # what is called in its place; `run` joins the group
        self.average = copy.deepcopy(self.network) if task.section.ema else self.network  # what is measured and kept
        both_kinds = task.generated.any() and not task.generated.all()
        # Generated images go through a copy with batch norms of its own.
        self.counterpart = shared_weight_copy(self.network) if task.section.synthetic_norm and both_kinds else None
        own = () if self.counterpart is None else self.counterpart.parameters()
        parameters = list(dict.fromkeys([*self.network.parameters(), *own]))
        self.optimizer = _optimizer(parameters, set(self.slow()), task.section)
        self.scaler = torch.amp.GradScaler(device, enabled=self.half)
        self.best = _copy(self.network)
        self.pool = _Pool(task, self.places(next(iter(task.weightings.values()))), task.section.replace)
        self.last_pool = _Pool(task, self.places(task.last_weights), 0.0)
        self.progress = Progress(task.key)
        self.losses: list[Tensor] = []  # since the last evaluation

    def build(self) -> nn.Module:
        """Return the network with its initial weights, and what else is trained with it."""
        return self.task.build()

    def places(self, weights: npt.NDArray[np.float64]) -> Labels:
        """Return the positions of examples that a pass draws, where `weights` (N,) are theirs."""
        return repeated(weights)

    def slow(self) -> Sequence[nn.Parameter]:
        """Return the weights that train.backbone_rate slows down: all but the classifier's."""
        fresh = set(head(self.network).parameters())
        return [parameter for parameter in self.network.parameters() if parameter not in fresh]

    def run(self, state: Path) -> None:
        """Train to the last step or until patience is out, keeping in the file `state` what resuming needs."""
        section = self.task.section
        self.shared = self.group.joined(self.network)
        self.progress.processes = max(self.progress.processes, self.group.size)
        steps = range(self.progress.step, section.steps)
        for step in progress(steps, len(steps), f"train {self.task.name}"):
            if self.progress.looks_without_better >= section.patience:
                break
            self.step(step)
            if self.progress.step % section.evaluate_every == 0 or self.progress.step == section.steps:
                self.evaluate()
                if self.group.leads:
                    self._save(state)

    def step(self, step: int) -> Tensor:
        """Take step `step` (from 0) of the optimiser; returns the loss, a scalar, as far as it is this process's."""
        section = self.task.section
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(section, step) * group["pace"]
        loss = self.loss(step) * self.group.weight(section.batch_size)
        self.optimizer.zero_grad()
        torch.autograd.backward(self.scaler.scale(loss))
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.losses.append(loss.detach())
        if section.ema:
            update_average(self.average.state_dict(), self.network.state_dict(), average_decay(section.ema, step))
        self.progress.step = step + 1
        return self.losses[-1]

    def loss(self, step: int) -> Tensor:
        """Return the loss of the images of step `step`, a scalar."""
        logits, targets = self._outputs(self.positions(step), step)
        margin = self._pool_at(step).margin.to(self.device)
        return functional.cross_entropy(logits + margin, targets, label_smoothing=self.task.section.label_smoothing)

    def _pool_at(self, step: int) -> _Pool:
        section = self.task.section
        return self.last_pool if step >= section.steps - round(section.real_last * section.steps) else self.pool

    def positions(self, step: int) -> Labels:
        """Return the positions of the examples of a step that this process sees: all, or its share of the batch."""
        batch, pool = self.task.section.batch_size, self._pool_at(step)
        drawn = batch_positions(len(pool.places), batch, step, lambda turn: self.seed(f"order/{turn}"))
        positions = pool.places[drawn]
        if pool.replace:
            targets, instead = self.task.training.targets, self.task.stand_ins
            positions = replaced(positions, targets, instead, pool.replace, self.seed(f"replace/{step}"))
        return self.group.share(positions)

    def _outputs(self, positions: Labels, step: int) -> tuple[Tensor, Tensor]:
        """Return (N, K) float32 logits, and the targets: (N,) classes, or (N, K) shares where images are mixed."""
        task, section, seed = self.task, self.task.section, self.own_seed(f"mix/{step}")
        images = self.images(positions, step)
        targets = torch.from_numpy(task.training.targets[positions]).to(self.device)
        logits, wanted = [], []
        for network, rows in self.branches(task.generated[positions]):
            seen, shares = mixed(images[rows], targets[rows], len(task.labels), section.mixup, section.cutmix, seed)
            called = self.shared if network is self.network else network
            with torch.autocast(self.device, dtype=torch.float16, enabled=self.half):
                logits.append(called.train()(seen.contiguous(memory_format=torch.channels_last)))
            wanted.append(shares)
        return torch.cat(logits).float(), torch.cat(wanted)

    def images(self, positions: Labels, step: int) -> Tensor:
        """Return the transformed images of a step, (N, 3, H, W) float normalised."""
        batch = torch.from_numpy(self.frames[self.task.training.rows[positions]])
        kind = "trivial" if self.task.strong_transforms else self.task.section.views
        if kind in STRONG:
            batch = STRONG[kind](batch, self.own_seed(f"{kind}/{step}"))
        generator = torch.Generator().manual_seed(self.own_seed(f"views/{step}"))
        return random_transforms(normalise(batch.to(self.device)), generator)

    def branches(self, generated: npt.NDArray[np.bool_]) -> list[tuple[nn.Module, slice | Tensor]]:
        """Return which network sees which rows of a step; images are mixed within a branch only."""
        if self.counterpart is None:
            return [(self.network, slice(None))]
        branches = (self.network, np.flatnonzero(~generated)), (self.counterpart, np.flatnonzero(generated))
        # A lone image has no batch statistics, so it sits the step out.
        return [(network, torch.from_numpy(rows)) for network, rows in branches if len(rows) > 1]

    def seed(self, item: str) -> int:
        """Return the seed of a random choice. It leaves out the arm: seed n has the same crops and order everywhere."""
        return item_seed(self.task.run_seed, "training", f"seed-{self.task.seed}/{item}")

    def own_seed(self, item: str) -> int:
        """Return the seed of a random choice about the pictures that this process of a group sees."""
        return self.seed(item if self.group.leads else f"{item}/{self.group.rank}")

    def evaluate(self) -> None:
        """Measure on the validation set; keep the weights if they are the best so far."""
        state, loss = self.progress, self.group.mean(torch.stack(self.losses).mean()).item()
        self.losses.clear()
        if not math.isfinite(loss):
            raise InputError(
                f"training {self.task.name} diverged: its loss at step {state.step} is {loss}; "
                f"lower train.learning_rate (now {self.task.section.learning_rate})"
            )
        found, score = self.measured()
        state.history.append(Evaluation(step=state.step, training_loss=loss, validation=found))
        if score > state.best:
            state.best, state.best_step, state.looks_without_better = score, state.step, 0
            self.best = _copy(self.average)
        else:
            state.looks_without_better += 1

    def measured(self) -> tuple[dict[str, float], list[float]]:
        """Return the measures on the validation set, and two of which the larger pair is better."""
        found = measures(self._logits(), self.task.validation.targets)
        return found, [found["macro_f1"], -found["loss"]]

    def _logits(self) -> Vectors:
        def judged(rows: Labels) -> tuple[Vectors]:
            return (predict(self.average, self.frames[rows], self.device),)

        return self.group.spread(judged, self.task.validation.rows)[0]

    def _save(self, path: Path) -> None:
        # An unfinished training of 0.1.0 goes on, so the groups keep that version's names.
        self.progress.scaler = self.scaler.state_dict()
        groups: dict[str, resumable.Tensors] = {"network": self.network.state_dict(), "best": self.best}
        if self.average is not self.network:
            groups["shown"] = self.average.state_dict()
        if self.counterpart is not None:
            groups["twin"] = norm_state(self.counterpart)
        groups["optimizer"] = resumable.optimizer_tensors(self.optimizer)
        resumable.save_state(path, groups, {"progress": json.dumps(vars(self.progress), default=plain)})

    def resume(self, path: Path) -> None:
        """Take up the state at `path` if it is there and belongs to this task."""
        if not path.exists():
            return
        saved, texts = resumable.load_state(path)
        content = json.loads(texts["progress"])
        state = Progress(**{**content, "history": [from_json(Evaluation, entry) for entry in content["history"]]})
        if state.key != self.task.key:
            return
        self.progress = state
        if state.scaler:
            self.scaler.load_state_dict(state.scaler)
        self.network.load_state_dict(saved["network"])
        self.best = dict(saved["best"])
        if self.average is not self.network:
            self.average.load_state_dict(saved["shown"])
        if self.counterpart is not None:
            self.counterpart.load_state_dict(saved["twin"], strict=False)  # the rest is the network's own
        resumable.restore_optimizer(self.optimizer, saved.get("optimizer", {}))
        say(f"train {self.task.name}: goes on after step {state.step} of {self.task.section.steps}")

    def finish(self, folder: Path) -> TrainingResult:
        """Write the results of the best weights; the card comes last and marks the training as done."""
        task, state = self.task, self.progress
        self.group = ALONE  # the others of a group have ended their work
        self.average.load_state_dict(self.best)
        write_json(folder / "history.json", state.history)
        outcome = {"steps": state.step, "best_step": state.best_step}
        if state.processes > 1:
            outcome["processes"] = state.processes
        remark = f"{state.step} of {task.section.steps} steps, best at {state.best_step}: "
        return self.save(folder, outcome, remark)

    def save(self, folder: Path, outcome: PlainJson, remark: str) -> TrainingResult:
        """Write predictions and checkpoint; see `save_result`."""
        return save_result(self.task, folder, self.average, self._logits(), outcome, remark)


def save_result(
    task: Task,
    folder: Path,
    network: nn.Module,
    logits: Vectors,
    outcome: PlainJson,
    remark: str = "",
    scores: Numbers | None = None,
    copies: Mapping[str, Numbers] | None = None,
) -> TrainingResult:
    """Write predictions.json and the checkpoint of a training that is done, and a line for the person who waits.

    `logits` (N, K) are those of the validation images, and `scores` (N, M) what a spatial head made them of, `copies`
    those of changed copies; `outcome` joins what the card says of the training, and `remark` is what the line
    begins with.
    """
    found = measures(logits, task.validation.targets)
    held_out, head_json = task.validation, task.card.get("head")
    answers = Predictions(task.labels, held_out.ids, held_out.targets, logits, head_json, scores, copies or {})
    write_predictions(folder, answers)
    training = {**task.card["training"], "key": task.key, **outcome, "validation": found}
    save_checkpoint(folder, network, {**task.card, "training": training})
    say(f"train {task.name}: {remark}validation macro F1 {found['macro_f1']:.3f}, accuracy {found['accuracy']:.3f}")
    return _result(read_card(folder))


def _optimizer(
    parameters: Sequence[nn.Parameter], slow: AbstractSet[nn.Parameter], section: TrainSettings
) -> torch.optim.Optimizer:
    """Return the optimiser. Weight decay is for weights; norms and biases (one dimension) are left alone.

    Each group has a `pace`, its share of the learning rate: 1, or that of the `slow` parameters.
    """
    groups = []
    for pace in sorted({1.0, section.backbone_rate}, reverse=True):
        own = [one for one in parameters if pace == (section.backbone_rate if one in slow else 1.0)]
        for decay, dimensions in ((section.weight_decay, (2, 3, 4)), (0.0, (0, 1))):
            chosen = [one for one in own if one.ndim in dimensions]
            groups.append({"params": chosen, "weight_decay": decay, "pace": pace})
    if section.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=section.learning_rate, momentum=MOMENTUM, nesterov=True, fused=True)
    return torch.optim.AdamW(groups, lr=section.learning_rate, fused=True)


def _copy(network: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().clone() for name, tensor in network.state_dict().items()}


def measures(logits: Vectors, targets: Labels) -> dict[str, float]:
    """Return accuracy, macro_f1, macro_recall (0..1) and loss (cross-entropy, nats) of (N, K) logits."""
    loss = functional.cross_entropy(torch.from_numpy(logits), torch.from_numpy(targets)).item()
    return {**metrics(targets, logits.argmax(axis=1)), "loss": loss}
