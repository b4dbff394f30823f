"""The architecture, executable: which room may import which, that nobody goes in circles, what never loads together."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import ROOT

PACKAGES = ("edge_runtime", "export", "augment")  # each may import itself and those before it

# What each room of a package may import of the same package: a room, or one module of it. "ground" are the files in the
# package's root folder; in augment those that start work (COMMANDS) are "commands". The order is from low to high.
ARROWS = {
    "edge_runtime": {
        "bundle": "",
        "ground": "bundle.errors bundle.files",
        "media": "ground bundle",
        "web": "ground bundle",
        "inference": "ground bundle",
        "cameras": "ground bundle media inference.blank_check",
        "alerts": "ground bundle media inference",
        "updates": "ground bundle media inference alerts",
        "judgements": "ground bundle media updates.identity.station_key",
        "labelling": "ground bundle media inference web judgements",
        "classify": "ground bundle media inference updates labelling judgements web",
        "watchlog": "ground bundle web.page_style",
        "station": "ground bundle media inference cameras alerts watchlog updates judgements web",
    },
    "augment": {
        "ground": "",
        "engines": "ground",
        "stores": "ground",
        "data": "ground stores",
        "models": "ground data",
        "evaluation": "ground data models",
        "distributed": "ground",
        "training": "ground data models evaluation distributed",
        "spatial": "ground data models evaluation training distributed",
        "report": "ground data evaluation",
        "stages": "ground data models evaluation training spatial report.contact_sheets engines distributed",
        "mini": "ground models training",
        "station_demo": "ground mini models stages",
        "updates": "ground data models evaluation",
        "labelling": "ground data models evaluation training",
        "feedback": "ground data models evaluation updates",
        "gpu_check": "ground data models evaluation training report mini.scenes",
        "reference": "ground data models evaluation report",
        "commands": "ground stores data models evaluation training spatial report stages mini updates "
        "station_demo labelling feedback engines distributed gpu_check reference",
    },
}
COMMANDS = ("augment.cli", "augment.demo", "augment.pipeline", "augment.study")
# What of the edge export and augment may import.
FOR_THE_LAB = (
    *("bundle", "media", "inference", "updates", "web", "judgements", "labelling"),
    *("settings_reader", "secret_files", "text_files", "cli_errors", "child_process", "clock"),
)

WALLED_OFF = ("torch", "torchvision", "transformers", "diffusers", "onnx", "export", "augment")

PROBE = """
import importlib, pkgutil, sys
class Wall:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in sys.argv[1:]:
            raise ImportError("the edge reached for " + name)
sys.meta_path.insert(0, Wall())
import edge_runtime
names = [module.name for module in pkgutil.walk_packages(edge_runtime.__path__, "edge_runtime.")]
for name in names:
    importlib.import_module(name)
print(len(names))
"""


def test_the_whole_edge_imports_with_the_training_stack_walled_off():
    done = subprocess.run([sys.executable, "-c", PROBE, *WALLED_OFF], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == len(modules(ROOT, "edge_runtime")) - 1  # all but the package itself


def test_the_wall_holds():
    done = subprocess.run([sys.executable, "-c", PROBE, "cv2"], capture_output=True, text=True, cwd=ROOT)
    assert "the edge reached for cv2" in done.stderr


WITHOUT_PAGES = """
from click.testing import CliRunner
import edge_runtime.station.assemble
from edge_runtime.classify.cli import main
from edge_runtime.station.cli import main as station
for command in (main, station, *station.commands.values()):
    assert CliRunner().invoke(command, ["--help"]).exit_code == 0
done = CliRunner().invoke(main, ["--bundle", "demo", "demo/golden/10.png", "--report", "page.html"])
assert done.exit_code in (0, 10), done.output
"""


def test_who_judges_pictures_or_watches_without_a_page_needs_none_of_what_pages_need(tmp_path):
    (tmp_path / "demo").symlink_to(ROOT / "augment" / "station_demo" / "bundle")
    probe = PROBE.partition("import edge_runtime")[0] + WITHOUT_PAGES
    for_pages = ("starlette", "uvicorn", "h11", "jinja2", "markupsafe", "argon2", "multipart", "python_multipart")
    command = [sys.executable, "-c", probe, *for_pages]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert done.returncode == 0, done.stderr


def test_labelling_and_reviewing_need_no_package_of_passwords_which_only_stations_have():
    probe = (
        PROBE.partition("import edge_runtime")[0] + "import edge_runtime.labelling.app, edge_runtime.labelling.serving"
    )
    for_stations = ("argon2", "prometheus_client", "paho")
    done = subprocess.run([sys.executable, "-c", probe, *for_stations], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr


def modules(root: Path, *packages: str) -> dict[str, Path]:
    """Dotted name -> file of every module of `packages`."""
    files = [path for package in packages for path in sorted((root / package).rglob("*.py"))]
    return {".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): path for path in files}


def imported(name: str, path: Path, known: dict[str, Path]) -> set[str]:
    """Names of what the module imports, wherever the import stands: inside functions and under TYPE_CHECKING too.

    Of our own modules the module, of others the whole dotted name.
    """
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package.rsplit(".", node.level - 1)[0] if node.level else ""
            source = ".".join(part for part in (base, node.module) if part)
            found |= {full if (full := f"{source}.{alias.name}") in known else source for alias in node.names}
    return found - {name}


def room(name: str, path: Path) -> str:
    """The room that a module lies in."""
    inside = name.split(".")[1:]
    if len(inside) > 1 or (inside and path.name == "__init__.py"):
        return inside[0]
    return "commands" if name in COMMANDS else "ground"


def wrong_imports(root: Path, package: str) -> list[str]:
    """Imports between the rooms of `package` that ARROWS does not have."""
    known = modules(root, package)
    wrong = []
    for name, path in known.items():
        allowed = ARROWS[package][room(name, path)].split()
        for target in sorted(imported(name, path, known) & set(known)):
            to = room(target, known[target])
            if to != room(name, path) and not {to, target.partition(".")[2]} & set(allowed):
                wrong.append(f"{name} imports {target}")
    return wrong


@pytest.mark.parametrize("package", ARROWS)
def test_rooms_import_only_what_the_table_says(package):
    assert wrong_imports(ROOT, package) == []


@pytest.mark.parametrize(
    "line",
    [
        "from edge_runtime.station import service",
        "from ..station.service import Service",
        "def later():\n    import edge_runtime.station.service",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from ..station import service",
    ],
)
def test_the_table_finds_a_planted_wrong_import(tmp_path, line):
    for place in ("cameras", "station"):
        (tmp_path / "edge_runtime" / place).mkdir(parents=True)
        (tmp_path / "edge_runtime" / place / "__init__.py").touch()
    (tmp_path / "edge_runtime" / "station" / "service.py").write_text("from ..cameras import camera\n")
    (tmp_path / "edge_runtime" / "cameras" / "camera.py").write_text(line + "\n")
    assert wrong_imports(tmp_path, "edge_runtime") == [
        "edge_runtime.cameras.camera imports edge_runtime.station.service"
    ]


def cycle(root: Path, *packages: str) -> list[str]:
    """The modules of one import cycle, imports inside functions counted, or an empty list."""
    known = modules(root, *packages)
    graph = {name: sorted(imported(name, path, known) & set(known)) for name, path in known.items()}
    done: set[str] = set()

    def search(name: str, trail: list[str]) -> list[str]:
        if name in trail:
            return [*trail[trail.index(name) :], name]
        if name in done:
            return []
        rings = (search(target, [*trail, name]) for target in graph[name])
        ring = next((ring for ring in rings if ring), [])
        done.add(name)
        return ring

    return next((ring for name in graph if (ring := search(name, []))), [])


def test_no_module_imports_itself_through_others():
    assert cycle(ROOT, *PACKAGES) == []


@pytest.mark.parametrize("back", ["from .a import x", "import room.a", "from room import a", "from . import a"])
def test_the_search_finds_a_planted_cycle(tmp_path, back):
    folder = tmp_path / "room"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "a.py").write_text("try:\n    from room import b\nexcept ImportError:\n    pass\n")
    (folder / "b.py").write_text("import room.c\n")
    for planted in (back, f"def later():\n    {back}"):
        (folder / "c.py").write_text(planted + "\n")
        assert cycle(tmp_path, "room") == ["room.a", "room.b", "room.c", "room.a"]
    (folder / "c.py").write_text("")
    assert cycle(tmp_path, "room") == []


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_import_only_those_below_them(package):
    above = PACKAGES[PACKAGES.index(package) + 1 :]
    known = modules(ROOT, *PACKAGES)
    for name, path in modules(ROOT, package).items():
        targets = imported(name, path, known)
        wrong = [target for target in targets if target.partition(".")[0] in above]
        if package != "edge_runtime":
            edge = [target for target in targets if target.startswith("edge_runtime.")]
            wrong += [target for target in edge if target.split(".")[1] not in FOR_THE_LAB]
        assert not wrong, f"{name} imports {wrong}"


def test_the_contract_needs_the_standard_library_and_numpy_and_in_one_place_opencv():
    known = modules(ROOT, "edge_runtime")
    for name, path in known.items():
        if not name.startswith("edge_runtime.bundle"):
            continue
        allowed = {"numpy", "cv2"} if name == "edge_runtime.bundle.preprocess" else {"numpy"}
        for target in imported(name, path, known):
            top = target.partition(".")[0]
            fine = top in sys.stdlib_module_names or top in allowed or target.startswith("edge_runtime.bundle")
            assert fine, f"{name} imports {target}"
