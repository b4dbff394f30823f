"""The page of `rarefault check-gpu`: one file, what is wrong first, then every figure."""

from augment.gpu_check.document import GpuCheck, failures
from augment.report.pages import render
from augment.report.table import Bar, Table

TEMPLATE = "check_gpu.html.j2"
NO_GPU, WRONG, FINE = "no GPU", "something is wrong", "as it must be"


def page(found: GpuCheck) -> str:
    """Return the page as HTML."""
    wrong, nothing = failures(found), bool(found.missing) and found.device == "cuda"
    verdict = NO_GPU if nothing else WRONG if wrong else FINE
    tables = [table for table in (_arithmetic(found), _engines(found), _stages(found)) if table[2].rows]
    content = {
        "title": f"rarefault check-gpu: {found.machine}",
        "verdict": verdict,
        "headline": found.missing[0].upper() + found.missing[1:] if nothing else _headline(found, wrong),
        "wrong": wrong,
        "tiles": [] if nothing else _tiles(found),
        "notes": list(found.notes),
        "tables": tables,
        "packages": Table("Versions of the packages that have to do with it.", ["package", "version"], [
            list(pair) for pair in found.packages.items()
        ]),
        "contents": [("verdict", "Verdict"), *((name, title) for name, title, _ in tables), ("packages", "Packages")],
    }  # fmt: skip
    return render(TEMPLATE, content)


def _headline(found: GpuCheck, wrong: list[str]) -> str:
    where = "on the GPU" if found.device == "cuda" else "on the processor; nothing of a GPU is shown by that"
    return f"{len(wrong)} findings are not as they must be, {where}." if wrong else f"Everything was tried {where}."


def _tiles(found: GpuCheck) -> list[dict[str, str]]:
    agreeing = sum(engine.agrees and not engine.problem for engine in found.engines)
    gains = {stage: gain for stage, gain in _gains(found).items() if gain}
    order = sorted(gains, key=lambda stage: gains[stage])
    return [
        {"name": "device", "value": found.device, "note": found.memory},
        {"name": "engines that agree", "value": f"{agreeing} of {len(found.engines)}", "note": found.bundle},
        {
            "name": "speed of FP16 over FP32",
            "value": f"{gains[order[0]]:.2g} to {gains[order[-1]]:.2g} x" if order else "not measured",
            "note": f"{order[0]} to {order[-1]}" if order else "",
        },
    ]


def _gains(found: GpuCheck) -> dict[str, float]:
    """Return how many times as fast FP16 is as FP32, by stage."""
    speed = {(stage.stage, stage.precision): stage.per_second for stage in found.stages}
    return {
        stage: half / whole
        for (stage, precision), half in speed.items()
        if precision == "fp16" and half and (whole := speed.get((stage, "fp32")))
    }


def _arithmetic(found: GpuCheck) -> tuple[str, str, Table]:
    rows = [[one.name, FINE if one.passed else WRONG, one.sentence] for one in found.arithmetic]
    caption = "Errors against float64; TF32 keeps 10 of FP32's 23 bits."
    return "arithmetic", "FP32, TF32 and FP16", Table(caption, ["what", "result", "seen"], rows)


def _engines(found: GpuCheck) -> tuple[str, str, Table]:
    most = max((engine.per_second or 0 for engine in found.engines), default=0) or 1
    rows = []
    for engine in found.engines:
        right = engine.agrees and not engine.problem
        figures = ["-"] * 4
        if engine.worst is not None and engine.milliseconds and engine.per_second:
            speed = Bar(f"{engine.per_second:.1f}", engine.per_second / most)
            figures = [f"{engine.worst:.2g}", f"{engine.allowed:.2g}", f"{engine.milliseconds:.2f}", speed]
        rows.append([f"{engine.engine} {engine.precision}", FINE if right else WRONG, *figures])
    head = ["engine", "result", "worst difference of a score", "allowed", "ms for one frame", "frames/s, 16 in a call"]
    return "engines", "Engines on golden frames", Table(f"The bundle {found.bundle}.", head, rows)


def _stages(found: GpuCheck) -> tuple[str, str, Table]:
    gains, rows = _gains(found), []
    for stage in found.stages:
        figures = ["-"] * 2
        if stage.per_second and stage.seconds:
            figures = [f"{stage.per_second:.1f}", f"{stage.seconds:.2f} ({stage.batch} at once)"]
        gain = f"{gains[stage.stage]:.2f} x" if stage.precision == "fp16" and stage.stage in gains else ""
        memory = f"{stage.memory / 2**30:.1f} GiB" if stage.memory else "-"
        seen = stage.problem or stage.difference
        rows.append(
            [f"{stage.stage} {stage.precision}", WRONG if stage.problem else FINE, *figures, gain, memory, seen]
        )
    head = ["stage", "result", "pictures/s", "s a batch", "over FP32", "GPU memory", "FP16 against FP32"]
    caption = "Models and batch sizes of the run; refine counts continuations. The first batch is not counted."
    return "stages", "Stages", Table(caption, head, rows)
