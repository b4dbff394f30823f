"""What the experiment takes is arithmetic that one can do by hand, and a disk that is too small stops it."""

import pytest

from augment.models.preflight import GIB, Machine
from augment.reference.cost import cost_of, require_disk, sentences
from augment.reference.protocol import ARMS, REHEARSAL, Sizes
from edge_runtime.bundle.errors import UnavailableError

GPU, LAPTOP = (Machine(cores, gpu, lambda _: 0, lambda _: True) for cores, gpu in ((16, 24 * GIB), (4, 0)))


def test_hours_of_a_gpu_are_its_steps_times_their_seconds():
    cost = cost_of(Sizes(), classes=37, draws=5, machine=GPU, download=True)
    assert cost.pictures == 37 * 24 * 5
    assert cost.painting == pytest.approx(1.5 * 4440 * 25 * 2.25 * 0.066)
    assert cost.training == pytest.approx(len(ARMS) * 5 * 2000 * (32 / 330 + 0.054))
    assert 5 < cost.hours < 15


def test_a_machine_without_a_gpu_is_told_of_days_and_of_the_rehearsal():
    cost = cost_of(Sizes(), classes=37, draws=5, machine=LAPTOP, download=False)
    said = " ".join(sentences(cost, 5, LAPTOP))
    assert cost.hours > 24 * 7
    assert "--rehearsal" in said
    assert "4 processor cores" in said


def test_a_disk_that_is_too_small_stops_it_before_the_start(tmp_path):
    cost = cost_of(Sizes(), classes=37, draws=5, machine=GPU, download=True)
    require_disk(cost, cost.disk, tmp_path)
    with pytest.raises(UnavailableError, match=r"take fewer --draws"):
        require_disk(cost, cost.disk - 1, tmp_path)


def test_a_rehearsal_is_told_in_the_minutes_of_what_starts_reads_and_measures():
    cost = cost_of(REHEARSAL, classes=37, draws=1, machine=LAPTOP, download=False)
    said = " ".join(sentences(cost, 1, LAPTOP, rehearsal=True))
    assert "time: about 7 minutes on 4 processor cores, without a GPU for 1 draw:" in said
    assert "--rehearsal" not in said
