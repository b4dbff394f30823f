"""Writes docs/BENCHMARKS.md from the JSON files in docs/benchmarks: `python -m benchmarks.write_benchmarks`.

Every figure and sentence of the page comes from those files. `benchmarks.run_claims` writes those of the benchmarks in
`benchmarks/registry.py`; the others hold what longer or older benchmarks printed, with their command and date.
"""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from benchmarks.claims import Claim, Part, Spread, Table, part_from_json
from benchmarks.registry import BENCHMARKS, CHAPTERS
from edge_runtime.bundle.errors import InputError

HEAD = """# Benchmarks

Written by `python -m benchmarks.write_benchmarks` from the JSON files in `docs/benchmarks/`; do not edit. `make bench`
measures the claims of `benchmarks/registry.py` anew, each by `python -m benchmarks.run_claims ID`. A claim is the
median of runs that take turns on the same machine, in brackets the 95 % bootstrap interval of that median; a **bold**
one misses its target. Ratios hold on a busy machine; absolute times depend on what else it does, so its load (of one
minute, before and after) is told.
"""


def main(folder: Path = Path("docs/benchmarks"), target: Path = Path("docs/BENCHMARKS.md")) -> None:
    """Write `target` from every JSON file in `folder`."""
    order = [benchmark.id for benchmark in BENCHMARKS]
    results = {path.stem: json.loads(path.read_bytes()) for path in sorted(folder.glob("*.json"))}
    for name, result in results.items():
        if result["chapter"] not in CHAPTERS:
            raise InputError(f"{name}.json is of the chapter {result['chapter']!r}; there are {', '.join(CHAPTERS)}")
    names = sorted(results, key=lambda name: (order.index(name) if name in order else len(order), name))
    letters = machines(results.values())
    parts = [HEAD, _machine_list(letters), _missed(results, names)]
    for chapter in CHAPTERS:
        found = [results[name] for name in names if results[name]["chapter"] == chapter]
        parts += [f"## {chapter}\n"] if found else []
        parts += [section(result, letters) for result in found]
    target.write_text("\n".join(part for part in parts if part), encoding="utf-8")


def machines(results: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return a letter for each description of a machine, in the order of their first use."""
    described = dict.fromkeys(_described(result["machine"]) for result in results)
    return {text: chr(ord("A") + place) for place, text in enumerate(described)}


def section(result: Mapping[str, Any], letters: Mapping[str, str] | None = None) -> str:
    """Return what the page says of one result; without `letters` the machine is described in full."""
    described = _described(result["machine"])
    facts = [result["date"], f"machine {letters[described]}" if letters else described]
    if "load" in result:
        facts.append("load {} to {}".format(*result["load"]))
    if "seconds" in result:
        facts.append(f"{result['seconds']} s")
    facts += [f"{name} {number}" for name, number in result.get("versions", {}).items()]
    parts = [part_from_json(part) for part in result["parts"]]
    blocks = [_block(kind, list(group)) for kind, group in groupby(parts, type)]
    return "\n\n".join([f"### {result['title']}", f"`{result['command']}`, {', '.join(facts)}.", *blocks]) + "\n"


def _described(machine: Mapping[str, Any]) -> str:
    gpu = "no GPU" if machine["gpu"] == "none" else machine["gpu"]
    return f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB, {gpu}, {machine['system']}"


def _machine_list(letters: Mapping[str, str]) -> str:
    return "".join(f"- Machine {letter}: {text}\n" for text, letter in letters.items())


def _missed(results: Mapping[str, Mapping[str, Any]], names: Sequence[str]) -> str:
    """List the claims that miss their target, since who doubts the page looks for these first."""
    rows = []
    for name in names:
        parts = [part_from_json(part) for part in results[name]["parts"]]
        rows += [(results[name]["title"], part) for part in parts if isinstance(part, Claim) and part.passed is False]
    lines = [
        f"- {title}: {claim.question}, {_target(claim)} and is {number(claim.measured.median)}" for title, claim in rows
    ]
    return "\n".join(["Missed targets:\n", *lines, ""]) if lines else ""


def _block(kind: type[Part], parts: Sequence[Any]) -> str:
    if kind is Claim:
        return _claims(parts)
    if kind is Table:
        return "\n\n".join(markdown(table.rows) for table in parts)
    return "\n\n".join(note.text for note in parts)


def _claims(claims: Sequence[Claim]) -> str:
    rows = [["claim", "target", "measured", "n", "command", "note"]]
    for claim in claims:
        command = f"`{claim.command}`" if claim.command else ""
        rounds = str(claim.measured.n) if claim.measured.n > 1 else ""
        rows.append([claim.question, _target(claim), _measured(claim), rounds, command, claim.note])
    filled = [place for place, _ in enumerate(rows[0]) if place in (0, 2) or any(row[place] for row in rows[1:])]
    return markdown([[row[place] for place in filled] for row in rows])


def _target(claim: Claim) -> str:
    return f"{claim.target.direction} {claim.target.value:g}" if claim.target else ""


def _measured(claim: Claim) -> str:
    shown = number(claim.measured.median)
    shown = f"**{shown}**" if claim.passed is False else shown
    return " ".join(part for part in (shown, _interval(claim.measured), claim.unit) if part and part != "times")


def _interval(measured: Spread) -> str:
    if measured.low is None or measured.high is None or measured.n == 1:
        return ""
    return f"({number(measured.low)} to {number(measured.high)})"


def number(value: float) -> str:
    """Return `value` with three significant digits, thousands with commas."""
    size = abs(value)
    return (
        f"{value:,.0f}"
        if size >= 100 or value == int(value)
        else f"{value:.{1 if size >= 10 else 2 if size >= 1 else 3}f}"
    )


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table; the first row is its head."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
