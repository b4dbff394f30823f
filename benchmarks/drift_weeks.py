"""How often drift is told where there is none, and how soon where there is some, on simulated weeks.

    python -m benchmarks.drift_weeks [--cameras 100] [--weeks 52]

Nothing here is a real camera: day and night with their seasons at 50 degrees north, weather that comes and goes for
hours to days, fog, an infrared lamp at night, and scores that lean on all of it and on a slow noise of their own. Each
hour has one median of each measure, as the station makes them.
"""

import argparse
import math
from collections.abc import Iterator

import numpy as np

from edge_runtime.station.scores.drift import ACCEPT_HOURS, MEASURES, Series

FIRST_HOUR = 490_896  # 2026-01-01 UTC since 1970
PLANTED = {
    "none": {},
    "lens grows dirty over 30 days (detail -0.8, contrast -0.4)": {"detail": -0.8, "contrast": -0.4},
    "infrared lamp fails (night darker by 30)": {"night": -30.0},
    "exposure fails (brightness +45)": {"brightness": 45.0},
    "scores rise by 2 (log odds)": {"score": 2.0},
    "scores rise by 4 (log odds)": {"score": 4.0},
}
PLANT_WEEK = 4  # in which the planted drift begins


def weather(hours: int, memory: float, chance: np.random.Generator) -> np.ndarray:
    """Noise (hours,) of variance 1 that remembers itself for about `memory` hours."""
    keep = math.exp(-1 / memory)
    noise = chance.standard_normal(hours) * math.sqrt(1 - keep**2)
    noise[0] = chance.standard_normal()
    for hour in range(1, hours):
        noise[hour] += keep * noise[hour - 1]
    return noise


def camera(hours: int, first: int, chance: np.random.Generator, planted: dict[str, float]) -> dict[str, np.ndarray]:
    """The measures (hours,) of one camera whose first hour is `first`."""
    time = first + np.arange(hours)
    day_of_year = (time / 24) % 365.25
    half_day = 6 - 2.2 * np.cos(2 * np.pi * (day_of_year + 10) / 365.25) * chance.uniform(0.8, 1.1)  # hours
    sun = np.clip((half_day - np.abs(time % 24 - 12)) / 1.5 + 0.5, 0, 1)  # 0 at night, 1 by day
    clouds, long = weather(hours, 10, chance), weather(hours, 72, chance)
    sky = 0.6 * clouds + 0.8 * long
    fog = np.clip(weather(hours, 6, chance) - 2.2, 0, 1.5) * chance.uniform(0, 1)  # a few hours, seldom
    night, noon = chance.uniform(25, 60), chance.uniform(95, 130)
    onset = np.zeros(hours)
    onset[PLANT_WEEK * 168 :] = 1
    ramp = np.clip((np.arange(hours) - PLANT_WEEK * 168) / 720, 0, 1)
    bright = night + sun * (noon - night + chance.uniform(5, 15) * sky) + 2 * weather(hours, 5, chance)
    bright += onset * (planted.get("night", 0) * (1 - sun) + planted.get("brightness", 0)) + 25 * fog * sun
    contrast = 3.6 + 0.3 * sun + 0.12 * sky * sun - 0.5 * fog + 0.04 * weather(hours, 4, chance)
    detail = -1.5 + 0.4 * sun + 0.1 * sky * sun - 0.7 * fog + 0.05 * weather(hours, 4, chance)
    lean, own = chance.uniform(-0.5, 0.5), chance.uniform(0.2, 0.6)
    score = chance.uniform(-7, -3) + lean * (2 * sun + sky) + own * weather(hours, 24, chance) + 0.8 * fog
    return {
        "brightness": np.clip(bright, 2, 250),
        "contrast": contrast + ramp * planted.get("contrast", 0),
        "detail": detail + ramp * planted.get("detail", 0),
        "score": np.clip(score + onset * planted.get("score", 0), -9.2, 9.2),
    }


def told(values: dict[str, np.ndarray], first: int) -> Iterator[tuple[int, str]]:
    """Each time drift is told: the hour since the beginning, and the measure."""
    for name, column in values.items():
        series, was = Series(name), False
        for place, value in enumerate(column.tolist()):
            series.add(first + place, value)
            if series.left is not None and not was:
                yield place, name
            was = series.left is not None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cameras", type=int, default=100)
    parser.add_argument("--weeks", type=int, default=52)
    arguments = parser.parse_args()
    for what, planted in PLANTED.items():
        weeks = arguments.weeks if what == "none" else PLANT_WEEK + 6
        counts, delays, cameras_told = dict.fromkeys(MEASURES, 0), [], 0
        for number in range(arguments.cameras):
            chance = np.random.default_rng([17, number])
            first = FIRST_HOUR + int(chance.integers(0, 8766))
            cries = sorted(told(camera(weeks * 168, first, chance, planted), first))
            for _, name in cries:
                counts[name] += 1
            after = [place - PLANT_WEEK * 168 for place, _ in cries if place >= PLANT_WEEK * 168]
            delays += after[:1]
            cameras_told += bool(after)
        years = arguments.cameras * weeks / 52
        if what == "none":
            rate = {name: round(count / years, 2) for name, count in counts.items()}
            print(f"none: {sum(counts.values()) / years:.2f} told a camera and year, {rate}", flush=True)
        else:
            middle = f"median {np.median(delays):.0f} h" if delays else "never"
            print(f"{what}: told at {cameras_told} of {arguments.cameras} within 6 weeks, {middle} after it began")
    print(f"what is told for {ACCEPT_HOURS / 24:.0f} days is learned anew")


if __name__ == "__main__":
    main()
