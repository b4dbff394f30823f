"""The rule that turns a radiometric picture's values into grey levels, for training, measuring and the edge alike.

All arithmetic is float64, one operation at a time, each rounded to nearest as IEEE 754 says, and no function of a
mathematics library is called. So the same file and rule give the same levels on every machine.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import InputError

Values = npt.NDArray[Any]
"""The numbers of a picture with one channel, (H, W), in the file's own type and unit."""
Known = npt.NDArray[np.bool_]
"""Which pixels (H, W) hold a value at all."""

RANGE, PERCENTILES = "range", "percentiles"
EXPECTED = (
    '"range LOW HIGH" in the files\' own values, such as "range 20 90", or "percentiles LOW HIGH" of each picture'
)


@dataclass(frozen=True)
class RadiometricRule:
    """What becomes black and what white: `low` and `high` are values of the file ("range") or percentiles of them."""

    rule: str
    low: float
    high: float

    def __post_init__(self) -> None:
        numbers = all(type(bound) in (int, float) and abs(bound) < np.inf for bound in (self.low, self.high))
        if self.rule not in (RANGE, PERCENTILES) or not numbers:
            seen = f"{self.rule} {self.low} {self.high}"
            raise InputError(f"the rule for radiometric pictures is {seen!r}, expected {EXPECTED}")
        if not self.low < self.high or (self.rule == PERCENTILES and not 0 <= self.low < self.high <= 100):
            limits = ", from 0 to 100" if self.rule == PERCENTILES else ""
            raise InputError(f'the rule for radiometric pictures is "{self}", expected LOW below HIGH{limits}')

    def __str__(self) -> str:
        return f"{self.rule} {plain(self.low)} {plain(self.high)}"

    @classmethod
    def parse(cls, text: str) -> "RadiometricRule":
        """Read what a person writes in settings; InputError says what is expected."""
        try:
            rule, low, high = text.split()
            return cls(rule, float(low), float(high))
        except ValueError as error:
            raise InputError(f"the rule for radiometric pictures is {text!r}, expected {EXPECTED}") from error

    def to_json(self) -> dict[str, Any]:
        """Return the object that a bundle's manifest holds."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: object) -> "RadiometricRule":
        """Read what `to_json` wrote; InputError for anything else."""
        if not isinstance(data, Mapping) or set(data) != {"rule", "low", "high"}:
            raise InputError(f"the input's radiometric is {data!r}, expected rule, low and high; pack the bundle again")
        return cls(data["rule"], data["low"], data["high"])

    def bounds(self, known: Values) -> tuple[float, float]:
        """Return the values that become 0 and 255 in a picture whose `known` values (N,) these are.

        A percentile is one of the picture's values, the one at place p * (N - 1) / 100 in their order, the place
        rounded half up; nothing is interpolated.
        """
        if self.rule == RANGE:
            return float(self.low), float(self.high)
        places = [int(share * (known.size - 1) / 100 + 0.5) for share in (self.low, self.high)]
        ordered = np.partition(known, places)
        return float(ordered[places[0]]), float(ordered[places[1]])

    def levels(self, values: Values, known: Known) -> npt.NDArray[np.uint8]:
        """Return grey levels (H, W): (value - low) * 255 / (high - low), rounded half up, within 0 to 255.

        A pixel that holds no value becomes 0. Where both percentiles are one value, whatever lies above it becomes 255
        and the rest 0. At least one pixel must be known.
        """
        low, high = self.bounds(values[known])
        exact = np.where(known, values, low).astype(np.float64)
        scaled = (exact - low) * 255.0 / (high - low) if high > low else np.where(exact > high, 255.0, 0.0)
        levels: npt.NDArray[np.uint8] = np.floor(np.clip(scaled, 0.0, 255.0) + 0.5).astype(np.uint8)
        levels[~known] = 0
        return levels


def plain(value: float) -> str:
    """Return a number as a person writes it: whole ones without a point, others to seven digits."""
    return str(int(value)) if value == int(value) else f"{value:.7g}"
