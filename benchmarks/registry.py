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
    Benchmark("edge-engines", EDGE, "The runtime over the bare engine", "benchmarks.claim_speed:edge_engines"),
    Benchmark("edge-bound", EDGE, "edge-classify over its bound", "benchmarks.claim_speed:edge_bound"),
    Benchmark("edge-start", EDGE, "The first result of edge-classify", "benchmarks.claim_speed:edge_start"),
    Benchmark("station-frame", STATION, "A station's frame", "benchmarks.claim_speed:station_frame"),
    Benchmark("scaling", SCALE, "One worker of a Ray cluster against two", "benchmarks.claim_scaling:scaling"),
    Benchmark(
        "worker-killed", SCALE, "A worker killed, and then the command", "benchmarks.claim_scaling:worker_killed"
    ),
    Benchmark(
        "training",
        CENTRAL,
        "Training beside torchvision's reference loop and timm's script",
        "benchmarks.claim_training:measure",
    ),
    Benchmark("records", SCALE, "What 1,000 to 100,000 pictures and records cost", "benchmarks.claim_records:measure"),
    Benchmark("caption", CENTRAL, "Captioning beside bare transformers", "benchmarks.claim_models:measure_caption"),
    Benchmark("refine", CENTRAL, "Prompts beside bare transformers", "benchmarks.claim_models:measure_refine"),
    Benchmark("generate", CENTRAL, "Painting beside bare diffusers", "benchmarks.claim_models:measure_generate"),
)
