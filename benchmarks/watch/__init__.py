"""The parts of `benchmarks.night_watch`. Broker, subscriber and sensor noise are those of the station's tests."""

from pathlib import Path

ROOT = Path(__file__).parents[2]  # of the repository
