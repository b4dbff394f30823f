"""The options by which a command is told which engine works, and the engine that they name."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypedDict

import click

from augment.engines.interface import Engine
from augment.engines.local import IN_THIS_PROCESS
from edge_runtime.bundle.errors import InputError


class EngineOptions(TypedDict):
    """What a command was told of the engine."""

    engine: str  # local or ray
    workers: int | None
    ray_address: str


LOCAL = EngineOptions(engine="local", workers=None, ray_address="")


def engine_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --engine, --workers and --ray-address to a command, which gets the EngineOptions as keywords."""
    options = (
        click.option(
            "--engine",
            type=click.Choice(["local", "ray"]),
            default="local",
            show_default=True,
            help="Where batches are worked on: in this process, or by the workers of a Ray cluster. The results are "
            "the same.",
        ),
        click.option(
            "--workers",
            type=click.IntRange(min=1),
            help="With --engine ray: how many workers. Without it one for each GPU, or for each core but one.",
        ),
        click.option(
            "--ray-address",
            default="",
            help="With --engine ray: a running cluster, such as auto; without it Ray starts on this machine and ends "
            "with the command.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


@contextmanager
def open_engine(told: EngineOptions, gpus: bool) -> Iterator[Engine]:
    """Yield the engine that the options name; what it started ends with the context.

    `gpus` says whether a worker is to have a GPU to itself where the cluster has any. Raises InputError for options
    that do not go together, and UnavailableError where Ray is not installed.
    """
    if told["engine"] == "local":
        if given := "--workers" if told["workers"] else "--ray-address" if told["ray_address"] else "":
            raise InputError(f"{given} is given without --engine ray; add that, or leave {given} out")
        yield IN_THIS_PROCESS
        return
    from augment.engines.ray_engine import RayEngine

    engine = RayEngine(told["workers"], told["ray_address"], gpus)
    try:
        yield engine
    finally:
        engine.close()
