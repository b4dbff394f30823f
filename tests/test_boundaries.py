"""The architecture, executable: who may import whom, and that nobody goes in circles."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import ROOT

ROOMS = ("edge_runtime", "export", "augment")  # each may import itself and those before it

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


def modules(root: Path, *rooms: str) -> dict[str, Path]:
    """Dotted name -> file of every module of `rooms`."""
    files = [path for room in rooms for path in sorted((root / room).rglob("*.py"))]
    return {".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): path for path in files}


def imported(name: str, path: Path, known: dict[str, Path]) -> set[str]:
    """Names of what the module imports when it is imported; of our own the module, of others the whole dotted name."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    found = set()
    for node in at_import_time(ast.parse(path.read_text()).body):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
            continue
        base = package.rsplit(".", node.level - 1)[0] if node.level else ""
        source = ".".join(part for part in (base, node.module) if part)
        found |= {full if (full := f"{source}.{alias.name}") in known else source for alias in node.names}
    return found - {name}


def at_import_time(body: list[ast.stmt]) -> Iterator[ast.Import | ast.ImportFrom]:
    """Import statements outside of functions and of `if TYPE_CHECKING`."""
    for node in body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield node
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from at_import_time(node.orelse)
        elif not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            for block in ("body", "orelse", "finalbody"):
                yield from at_import_time(getattr(node, block, []))
            for handler in getattr(node, "handlers", []):
                yield from at_import_time(handler.body)


def cycle(root: Path, *rooms: str) -> list[str]:
    """The modules of one import cycle, or an empty list."""
    known = modules(root, *rooms)
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
    assert cycle(ROOT, *ROOMS) == []


@pytest.mark.parametrize("back", ["from .a import x", "import room.a", "from room import a", "from . import a"])
def test_the_search_finds_a_planted_cycle(tmp_path, back):
    room = tmp_path / "room"
    room.mkdir()
    (room / "__init__.py").write_text("")
    (room / "a.py").write_text("try:\n    from room import b\nexcept ImportError:\n    pass\n")
    (room / "b.py").write_text("import room.c\n")
    (room / "c.py").write_text(back + "\n")
    assert cycle(tmp_path, "room") == ["room.a", "room.b", "room.c", "room.a"]
    (room / "c.py").write_text(f"def later():\n    {back}\n")
    assert cycle(tmp_path, "room") == []


@pytest.mark.parametrize("room", ROOMS)
def test_imports_between_rooms_point_down_even_inside_functions(room):
    above = ROOMS[ROOMS.index(room) + 1 :]
    for name, path in modules(ROOT, room).items():
        for node in ast.walk(ast.parse(path.read_text())):
            targets = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                targets = [node.module or ""]
            wrong = [target for target in targets if target.partition(".")[0] in above]
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
