"""What the experiment will take, told before it starts: downloads, disk, and hours. All of it is arithmetic.

None of it has been measured on a GPU by this project; each figure says where it comes from.
"""

import math
from dataclasses import dataclass
from pathlib import Path

from augment.models.preflight import GIB, GPU_STEP, PROCESSOR_STEP, RESNET50, TRAINING_STEP, Machine
from augment.reference.pictures import DOWNLOAD_BYTES
from augment.reference.protocol import ARMS, Sizes
from edge_runtime.bundle.errors import UnavailableError

GENERATOR_SIDE = 768  # pixels, of Stable Diffusion 2.1
# A training step of 32 pictures: 330 a second by ResNet-50 in FP32 on a TITAN RTX (Lambda, "RTX 2080 Ti Deep Learning
# Benchmarks", 2019), and 0.054 s of a processor core for their views (measured here, 224 pixels).
GPU_TRAINING_STEP = 32 / 330 + 0.054
# The same on one processor core, from the figures of `augment.models.preflight`.
PROCESSOR_TRAINING_STEP = TRAINING_STEP * RESNET50 * 224**2 / (384 * 288)
REPAINTED = 1.5  # pictures painted for each that is kept, a guess: curation rejects, and rounds replace
REHEARSED_HOURS = (
    7 / 60
)  # a draw of a rehearsal, measured on two busy cores with 370 pictures: painting is little of it
PICTURE_BYTES = 1.8  # of a generated PNG file, for each of its pixels
NETWORK_BYTES = 95_000_000  # of ResNet-50's weights; a training that is not done holds five sets of them


@dataclass(frozen=True)
class Cost:
    """What all draws take: seconds, and bytes that are written below OUT."""

    painting: float
    training: float
    disk: int
    pictures: int  # generated

    @property
    def hours(self) -> float:
        """The whole time in hours; captions, prompts and curation are taken to be a tenth of the rest."""
        return 1.1 * (self.painting + self.training) / 3600


def cost_of(sizes: Sizes, classes: int, draws: int, machine: Machine, download: bool) -> Cost:
    """Estimate what `draws` of the experiment take on `machine`; `download`: the pictures are fetched too."""
    side = sizes.painted_side or GENERATOR_SIDE
    pictures = sizes.generated * classes * draws
    step = GPU_STEP if machine.gpu_bytes else PROCESSOR_STEP / machine.cores
    painting = REPAINTED * pictures * sizes.painting_steps * (side / 512) ** 2 * step
    once = GPU_TRAINING_STEP if machine.gpu_bytes else PROCESSOR_TRAINING_STEP / machine.cores
    training = len(ARMS) * draws * sizes.training_steps * once * (sizes.side / 224) ** 2 * sizes.batch / 32
    frames = (sizes.train + sizes.validation + REPAINTED * sizes.generated) * classes * 3 * sizes.side**2
    disk = REPAINTED * pictures * PICTURE_BYTES * side**2 + draws * (frames + len(ARMS) * NETWORK_BYTES)
    return Cost(painting, training, round(disk + 5 * NETWORK_BYTES + 2 * DOWNLOAD_BYTES * download), pictures)


def sentences(cost: Cost, draws: int, machine: Machine, rehearsal: bool = False) -> list[str]:
    """Say what the experiment takes, for whoever decides whether it starts."""
    # What a rehearsal paints and trains is less than what starting, reading and measuring take beside it.
    least = REHEARSED_HOURS if rehearsal else 0
    what = "a GPU like a TITAN RTX" if machine.gpu_bytes else f"{machine.cores} processor cores, without a GPU"
    times = f"{draws} draw" if draws == 1 else f"{draws} draws"
    whole, first = (_hours(max(cost.hours / each, least * draws / each)) for each in (1, draws))
    lines = [
        f"time: about {whole} on {what} for {times}: {cost.pictures} pictures to paint, "
        f"{len(ARMS) * draws} trainings; first results after the first draw, in about {first}",
        f"disk: about {cost.disk / GIB:.1f} GiB below --out, beside the models",
        "cost: nothing is bought; on a rented GPU the hours times its price",
    ]
    if not machine.gpu_bytes:
        hint = "" if rehearsal else "; --rehearsal tries all parts in minutes"
        lines.append(f"torch finds no GPU here: `rarefault check-gpu` says why{hint}")
    return lines


def require_disk(cost: Cost, free: int, out: Path) -> None:
    """Raise UnavailableError where the disk of `out` has less than the experiment writes."""
    used = sum(path.stat().st_size for path in out.rglob("*") if path.is_file()) if out.is_dir() else 0
    if free < (wanted := max(0, cost.disk - used)):
        raise UnavailableError(
            f"{out} has {free / GIB:.1f} GiB of free disk, and the experiment writes about {wanted / GIB:.1f} GiB "
            "more; make room, name an --out on a larger disk, or take fewer --draws"
        )


def _hours(hours: float) -> str:
    minutes = math.ceil(60 * hours)
    if minutes >= 90:
        return f"{math.ceil(hours)} hours"
    return "1 minute" if minutes == 1 else f"{minutes} minutes"
