"""Measure claims and write them down: `python -m benchmarks.run_claims [--resume] [ID...] [-- OPTION...]`.

Without an ID all benchmarks of `benchmarks/registry.py` run, one after the other, each in a process of its own. Each
writes docs/benchmarks/ID.json, and docs/BENCHMARKS.md is written anew. What follows `--` is handed to the benchmark.
A benchmark that fails is named, the others still run, and the exit code is then 1; a missed target is a result.
"""

import datetime
import importlib
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import click
import psutil

from augment.json_objects import JsonObject, as_plain, write_json
from benchmarks import write_benchmarks
from benchmarks.claims import part_to_json
from benchmarks.registry import BENCHMARKS, Benchmark

RESULTS = Path("docs/benchmarks")
PACKAGES = ("rarefault", "numpy", "onnxruntime", "openvino", "opencv-python-headless", "torch", "diffusers", "ray")


class Machine(JsonObject):
    """What a result was measured on."""

    cpu: str
    cores: int
    memory_gib: int
    gpu: str
    system: str


class _WithOptions(click.Command):
    """Keeps what stands after `--` apart, whatever it looks like."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        at = args.index("--") if "--" in args else len(args)
        ctx.obj = tuple(args[at + 1 :])
        return super().parse_args(ctx, args[:at])


@click.command(cls=_WithOptions)
@click.argument("ids", nargs=-1)
@click.option("--work", type=click.Path(path_type=Path), default=Path("runs/benchmarks"), show_default=True)
@click.option("--results", type=click.Path(path_type=Path), default=RESULTS, show_default=True)
@click.option("--resume", is_flag=True, help="Leave out benchmarks that were measured today already.")
@click.pass_obj
def main(options: tuple[str, ...], ids: tuple[str, ...], work: Path, results: Path, resume: bool) -> None:
    """Run the benchmarks named by IDS, or all; OPTIONs after `--` go to a benchmark that is run alone."""
    known = {benchmark.id: benchmark for benchmark in BENCHMARKS}
    if wrong := [name for name in ids if name not in known]:
        raise click.UsageError(f"no benchmark {wrong[0]!r}; there are {', '.join(known)}")
    if options and len(ids) != 1:
        raise click.UsageError("options after -- are for one benchmark; name one and only one ID before them")
    if len(ids) == 1:
        run(known[ids[0]], work, results, options)
    else:
        asked = [name for name in ids or known if not (resume and _measured_today(results / f"{name}.json"))]
        if failed := [name for name in asked if not _succeeds(name, work, results)]:
            sys.exit(f"failed: {', '.join(failed)}")


def run(benchmark: Benchmark, work: Path, results: Path, options: Sequence[str]) -> None:
    """Measure one benchmark and write its result and the page."""
    module, _, function = benchmark.function.partition(":")
    work.mkdir(parents=True, exist_ok=True)
    load, started = os.getloadavg()[0], time.monotonic()
    parts = getattr(importlib.import_module(module), function)(work, options)
    results.mkdir(parents=True, exist_ok=True)
    target = results / f"{benchmark.id}.json"
    content = as_plain(
        {
            "chapter": benchmark.chapter,
            "title": benchmark.title,
            "command": " ".join(["python -m benchmarks.run_claims", benchmark.id, *_told(options)]),
            "date": _today(),
            "seconds": round(time.monotonic() - started),
            "load": [round(load, 1), round(os.getloadavg()[0], 1)],
            "machine": machine(),
            "versions": {"python": platform.python_version(), **versions()},
            "parts": [part_to_json(part) for part in parts],
        }
    )
    write_json(target, content)
    click.echo(write_benchmarks.section(content))
    if results == RESULTS:
        write_benchmarks.main()


def _told(options: Sequence[str]) -> list[str]:
    """Return the options as they are written down: where files lie on one machine says nothing on another."""
    return ["--", *("PATH" if Path(word).is_absolute() else word for word in options)] if options else []


def _today() -> str:
    return datetime.datetime.now(datetime.UTC).date().isoformat()


def _measured_today(result: Path) -> bool:
    return result.exists() and json.loads(result.read_bytes())["date"] == _today()


def _succeeds(name: str, work: Path, results: Path) -> bool:
    """Whether the benchmark ran to its end in a process of its own."""
    click.echo(f"== {name}")
    command = [sys.executable, "-m", "benchmarks.run_claims", name, "--work", str(work), "--results", str(results)]
    return subprocess.run(command, check=False).returncode == 0


def machine() -> Machine:
    """Describe the machine; the load stands beside each result, since it changes."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    nvidia = Path("/proc/driver/nvidia/gpus")
    return Machine(
        cpu=names[0] if names else platform.machine(),
        cores=os.cpu_count() or 1,
        memory_gib=round(psutil.virtual_memory().total / 2**30),
        gpu=f"{len(list(nvidia.iterdir()))} NVIDIA" if nvidia.exists() else "none",
        system=platform.system(),
    )


def versions() -> dict[str, str]:
    """Return the versions of what speed depends on."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


if __name__ == "__main__":
    main()
