"""kill -9 of a sending station, and of its broker: `python -m benchmarks.outbox_kills [--kills N] [--seed N]`.

Claim: every event that was committed arrives at least once, those of one camera in order, and the database is whole. A
process commits events of two cameras and sends them to a real mosquitto. It is killed at random moments after its first
commit, every fifth time at one of its start; every tenth time the broker is killed or stopped too. Moments are drawn
from the seed. Needs mosquitto.
"""

import contextlib
import random
import select
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click

from edge_runtime.alerts.events import ALARM
from edge_runtime.alerts.outbox import DATABASE, Entry, Outbox
from edge_runtime.bundle.files import sha256_file
from tests.support import mosquitto_broker
from tests.support.mosquitto_broker import Broker, Subscriber, numbers
from tests.support.sample_events import wait_until

LONGEST = 0.5  # seconds from the first commit, or from the start, to the kill


@click.command()
@click.option("--kills", type=click.IntRange(min=1), default=200, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
def main(kills: int, seed: int) -> None:
    """Kill, start again, compare what was committed with what arrived."""
    if mosquitto_broker.MOSQUITTO is None:
        raise click.ClickException("mosquitto is not installed; install it to run this benchmark")
    with tempfile.TemporaryDirectory(prefix="outbox-kills-") as folder:
        place = Path(folder)
        broker = Broker(place / "broker").start()
        subscriber = Subscriber(broker.port)
        try:
            good = _measure(place / "state", broker, subscriber, kills, random.Random(seed))
        finally:
            subscriber.close()
            broker.kill()
    sys.exit(0 if good else 1)


def _measure(state: Path, broker: Broker, subscriber: Subscriber, kills: int, chance: random.Random) -> bool:
    started = time.monotonic()
    told: set[str] = set()
    for kill in range(kills):
        told |= _run_and_kill(state, broker.port, chance.uniform(0, LONGEST), at_start=kill % 5 == 4)
        if kill % 10 == 9:
            chance.choice([broker.kill, broker.stop])()
            broker.start()
    subprocess.run(_command(state, broker.port, 0), check=True, timeout=300)
    outbox = Outbox(state, ["mqtt"])
    entries = outbox.recent(ALARM, 10_000_000)
    outbox.close()
    committed = [entry.id for entry in entries]
    damaged = sum(not _picture_is_whole(entry) for entry in entries)
    with contextlib.suppress(AssertionError):  # what is missing after a minute is counted below
        wait_until(lambda: {event["id"] for event in subscriber.events()} >= set(committed), 60)
    events = subscriber.events()
    total = len(committed)
    ordered = numbers(events) == {f"camera-{n}": list(range(n, total, 2)) for n in (0, 1)}
    lost = len(set(committed) - {event["id"] for event in events})
    forgotten = len(told - set(committed))
    whole = _integrity(state)
    click.echo(f"{kills} kills in {time.monotonic() - started:.0f} s")
    click.echo(f"{total} events committed, {lost} lost, {forgotten} told as committed and gone")
    click.echo(f"{damaged} without their whole picture")
    click.echo(f"{len(events) - total} arrived again; order for each camera {'kept' if ordered else 'BROKEN'}")
    click.echo(f"integrity_check {whole}")
    return not (lost or forgotten or damaged) and ordered and whole == "ok"


def _picture_is_whole(entry: Entry) -> bool:
    path = entry.pictures["frame"]
    return path.exists() and sha256_file(path) == entry.document["pictures"]["frame"]["sha256"]


def _run_and_kill(state: Path, port: int, seconds: float, at_start: bool) -> set[str]:
    """Ids that the process said it had committed before it was killed."""
    with subprocess.Popen(_command(state, port, 1_000_000), stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        said = b"" if at_start else process.stdout.readline()
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if select.select([process.stdout], [], [], left)[0]:
                said += process.stdout.read1()
        process.kill()
        said += process.stdout.read()
    return {line.decode() for line in said.split(b"\n")[:-1]}


def _command(state: Path, port: int, count: int) -> list[str]:
    return [sys.executable, "-m", "tests.support.sender_child", str(state), str(port), str(count)]


def _integrity(state: Path) -> str:
    database = sqlite3.connect(state / DATABASE)
    try:
        return str(database.execute("PRAGMA integrity_check").fetchone()[0])
    finally:
        database.close()


if __name__ == "__main__":
    main()
