"""What `benchmarks.night_watch` is made of. Broker, subscriber and sensor noise are those of the station's tests."""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests" / "edge_runtime"))
