"""The benchmarks that `python -m benchmarks.run_claims` can run: the one list of them."""

from dataclasses import dataclass

EDGE, STATION, UPDATES, CENTRAL, SCALE = CHAPTERS = ("Edge", "Station", "Updates", "Central", "Scale")


@dataclass(frozen=True)
class Benchmark:
    """A function that measures, as `module:function`, and where its results stand in docs/BENCHMARKS.md."""

    id: str
    chapter: str
    title: str
    function: str


BENCHMARKS = (
    Benchmark(
        "edge-peers", EDGE, "edge-classify beside what people would use instead", "benchmarks.claim_peers:measure"
    ),
    Benchmark("edge-bound", EDGE, "edge-classify over its bound", "benchmarks.claim_speed:edge_bound"),
    Benchmark("edge-start", EDGE, "The first result of edge-classify", "benchmarks.claim_speed:edge_start"),
    Benchmark("station-frame", STATION, "A station's frame", "benchmarks.claim_speed:station_frame"),
)
