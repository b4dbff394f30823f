"""How large rooms and functions may grow, where each rule has its one home, and where each module has its tests."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import ROOT

PACKAGES = ("edge_runtime", "export", "augment")
MOST_FILES_IN_THE_ROOT, MOST_FILES_IN_A_ROOM = 12, 16
MOST_LINES = 45  # of a function, its docstring included

# What a rule is written with, and the one module that may write it.
HOMES = {
    r"^PRECISIONS\b": "edge_runtime/bundle/manifest.py",
    r"^Frames = ": "edge_runtime/bundle/preprocess.py",
    r"^CURRENT_SLOT\b": "edge_runtime/bundle/store.py",
    r"IMWRITE_JPEG_QUALITY": "edge_runtime/media/jpeg.py",
    r"^VIDEO_SUFFIXES\b": "edge_runtime/media/file_kinds.py",
    r"^class Region\b": "edge_runtime/cameras/regions.py",
    r"b64encode\(f?\"\{user": "edge_runtime/cameras/http_auth.py",
    r"^LEAST_RATE\b": "edge_runtime/alerts/sink.py",
    r"^def \w+_delay\(": "edge_runtime/delays.py",
    r"\bsys\.executable\b(?!, \"-m\", \"edge_runtime\.classify)": "edge_runtime/child_process.py",
    r"LOCK_EX \| fcntl.LOCK_NB": "edge_runtime/bundle/files.py",
    r"\bos\.link\(": "edge_runtime/bundle/files.py",
    r"\"rarefault/release\"|f\"bundles/\{|release\.json\"": "edge_runtime/updates/trusted_repository.py",
    r"^RESERVE\b": "edge_runtime/updates/repository/download.py",
    r"ClickException\((str|_shown)\(": "edge_runtime/cli_errors.py",
    r"^\s+import tomllib": "edge_runtime/settings_reader.py",
    r"time\.monotonic\(\), time\.time\(\)": "edge_runtime/clock.py",
    r"\"\+00:00\"\)": "edge_runtime/clock.py",
    r"\?mode=ro": "edge_runtime/durable_sqlite.py",
    r"\"predictions\.json\"": "augment/training/predictions.py",
    r"^(EMPTY_SHARE|SNR_CAP)\b": "augment/training/diffusion_loss.py",
    r"^def nearest_distance\b": "augment/models/image_embedding.py",
    r"\(1 \+ step\) / \(10 \+ step\)|\(step \+ 1\) / \(step \+ 10\)": "augment/training/ema.py",
    r"\.lerp_\(": "augment/training/ema.py",
    r"^def restore_optimizer\b": "augment/training/resumable.py",
    r"np\.save\(": "augment/arrays.py",
    r"^SAFE_LOADING\b|use_safetensors=True": "augment/models/model_folders.py",
    r"^PRESETS\b": "augment/presets.py",
    r"^STAGES: tuple\[Stage": "augment/records.py",
}

# Modules without a test file of their own name, and where their tests stand instead.
TESTED_ELSEWHERE = {
    "edge_runtime/bundle/errors": "two classes without a body",
    "edge_runtime/updates/errors": "a list of reasons: test_trusted_repository",
    "edge_runtime/updates/repository/tuf_client": "test_trusted_repository, which runs python-tuf's own client",
    "edge_runtime/inference/openvino_engine": "one contract over every engine: test_engines",
    "edge_runtime/alerts/event_pictures": "test_events, test_alarm_rules",
    "edge_runtime/alerts/sink": "one contract over both sinks: test_sender, test_mqtt_sink, test_webhook_sink",
    "edge_runtime/alerts/settings": "station.toml is read whole: station/test_settings",
    "edge_runtime/cameras/capture_process": "runs as a process of its own: test_camera_group",
    "edge_runtime/cameras/thumbnail": "test_picture_health, test_change_gate",
    "edge_runtime/labelling/items": "test_app, test_proposals",
    "edge_runtime/labelling/serving": "test_app, classify/test_review",
    "edge_runtime/classify/opening": "edge-classify is run whole: test_cli",
    "edge_runtime/durable_sqlite": "alerts/test_outbox, watchlog/test_ledger",
    "edge_runtime/station/cli": "the commands are run whole: test_service, test_check, test_status, test_event_list",
    "edge_runtime/station/backup/commands": "test_archive",
    "edge_runtime/station/page/commands": "the page runs whole: test_browser",
    "edge_runtime/station/page/serving": "the page runs whole: test_browser",
    "edge_runtime/station/camera_watch": "test_service, test_service_loop",
    "edge_runtime/station/feedback/commands": "test_archives, which runs the command",
    "edge_runtime/judgements/settings": "station.toml is read whole: station/test_settings",
    "edge_runtime/station/systemd": "test_service",
    "augment/arrays": "models/test_image_embedding, mini/test_recipe",
    "augment/demo": "the loop is run whole: test_pipeline",
    "augment/json_objects": "test_records",
    "augment/record_types": "test_records",
    "augment/licences": "stages/test_pack, test_pipeline",
    "augment/methods": "models/test_inpaint_mask, stages/test_generate",
    "augment/progress": "test_pipeline",
    "augment/data/layouts/folders": "data/test_sources",
    "augment/data/layouts/known_sets": "data/test_sources",
    "augment/data/layouts/labels": "data/test_sources",
    "augment/data/layouts/listing": "data/test_sources",
    "augment/data/layouts/folder_words": "test_folder_levels",
    "augment/data/layouts/listed_paths": "test_manifest",
    "augment/data/layouts/manifest_csv": "test_manifest",
    "augment/data/problems": "test_checks, test_sources",
    "augment/distributed/group": "a group runs in processes: test_processes",
    "augment/evaluation/arm_comparison": "stages/test_compare",
    "augment/evaluation/tables": "stages/test_compare",
    "augment/mini/assemble": "test_recipe",
    "augment/mini/autoencoder": "test_recipe",
    "augment/mini/captioner": "test_recipe",
    "augment/mini/diffusion": "test_recipe",
    "augment/mini/equipment": "test_scenes",
    "augment/mini/lens": "test_scenes",
    "augment/gpu_check/check": "test_commands, which runs the command",
    "augment/gpu_check/document": "test_commands, which runs the command",
    "augment/gpu_check/page": "test_commands, which runs the command",
    "augment/gpu_check/stages": "test_commands, which runs the command",
    "augment/models/interfaces": "protocols",
    "augment/engines/interface": "protocols",
    "augment/engines/local": "test_ray_engine, which holds both engines against each other",
    "augment/engines/settle": "test_cli",
    "augment/report/figures": "test_build",
    "augment/report/pages": "test_build, test_browser",
    "augment/report/table": "test_build, test_spots",
    "augment/reference/lock": "test_experiment",
    "augment/reference/protocol": "test_experiment",
    "augment/reference/results": "test_experiment",
    "augment/data/feedback": "feedback/test_take",
    "augment/feedback/commands": "test_take",
    "augment/feedback/kinship": "test_take",
    "augment/feedback/store": "test_take",
    "augment/store_urls": "stores/test_connection",
    "augment/stores/listing": "stores/test_pictures",
    "augment/station_demo/operator": "the demo is run whole: test_commands",
    "augment/updates/fleet_commands": "test_compare_bundles, test_fleet, test_lineage",
    "augment/stages/caption": "test_refine, models/test_production_layout",
}


def files(*packages: str) -> list[Path]:
    return [path for package in packages for path in sorted((ROOT / package).rglob("*.py"))]


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    nodes = ast.walk(ast.parse(path.read_text()))
    yield from (node for node in nodes if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)))


def test_no_folder_is_too_full_to_look_through():
    counts: dict[Path, int] = {}
    for path in files(*PACKAGES):
        counts[path.parent] = counts.get(path.parent, 0) + 1
    assert counts[ROOT / "edge_runtime"] <= MOST_FILES_IN_THE_ROOT
    assert {str(folder): count for folder, count in counts.items() if count > MOST_FILES_IN_A_ROOM} == {}


def test_the_service_leaves_its_assembly_to_others():
    text = (ROOT / "edge_runtime" / "station" / "service.py").read_text()
    own = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom) and node.level]
    assert len(text.splitlines()) < 200
    assert len(own) < 12


def test_every_function_fits_a_screen():
    sizes = {
        f"{path.relative_to(ROOT)}:{node.name}": node.end_lineno - node.lineno + 1
        for path in files(*PACKAGES)
        for node in functions(path)
        if node.end_lineno is not None
    }
    assert {name: lines for name, lines in sizes.items() if lines > MOST_LINES} == {}


@pytest.mark.parametrize("pattern", HOMES)
def test_each_rule_has_one_home(pattern):
    written = {str(path.relative_to(ROOT)) for path in files(*PACKAGES) if re.search(pattern, path.read_text(), re.M)}
    assert written == {HOMES[pattern]}


def test_every_module_has_a_test_file_of_its_name_or_a_reason():
    modules = [path.relative_to(ROOT).with_suffix("") for path in files(*PACKAGES) if not path.name.startswith("__")]
    untested = {str(path) for path in modules if not (ROOT / "tests" / path.parent / f"test_{path.name}.py").exists()}
    assert untested - set(TESTED_ELSEWHERE) == set()


def test_no_docstring_is_a_fragment_that_leans_on_the_name():
    leaning = ("Of ", "As ", "That ", "By ", "Those ", "With ", "In ")
    found = [
        f"{path.relative_to(ROOT)}: {text.splitlines()[0]}"
        for path in files(*PACKAGES)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Module))
        and (text := ast.get_docstring(node) or "").startswith(leaning)
    ]
    assert found == []
