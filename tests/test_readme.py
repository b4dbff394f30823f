"""README.md and docs/: the map is whole, links lead somewhere, and the first page stays short."""

import re
import subprocess

import pytest

from tests.support import ROOT

LINES = 150
PACKAGES = ("edge_runtime", "export", "augment")
README = (ROOT / "README.md").read_text()
PAGES = sorted(path.relative_to(ROOT) for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def tracked() -> list[str]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("no git checkout")
    return listed.stdout.splitlines()


def anchors(text: str) -> set[str]:
    """The fragments that a Markdown page offers, one for each heading."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_readme_is_short():
    assert len(README.splitlines()) < LINES


def test_the_map_names_every_top_level_file_and_folder():
    names = {path.split("/")[0] + ("/" if "/" in path else "") for path in tracked()}
    assert sorted(name for name in names if name not in README) == []


def test_the_map_names_every_room():
    rooms = {path.split("/")[1] for path in tracked() if re.fullmatch(r"(edge_runtime|augment)/\w+/__init__\.py", path)}
    assert len(rooms) > 10
    assert sorted(room for room in rooms if f"      {room}/" not in README) == []


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_links_lead_somewhere(page):
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", (ROOT / page).read_text()):
        if target.startswith(("http://", "https://")):
            continue
        name, _, fragment = target.partition("#")
        path = (ROOT / page).parent / name if name else ROOT / page
        if not path.exists() or (fragment and fragment not in anchors(path.read_text())):
            broken.append(target)
    assert broken == []


def test_the_names_in_the_architecture_page_exist():
    page = (ROOT / "docs" / "ARCHITECTURE.md").read_text()
    files = [path for package in PACKAGES for path in ROOT.glob(f"{package}/**/*.py")]
    known = {".".join(path.relative_to(ROOT).with_suffix("").parts) for path in files}
    known |= {name.partition(".")[2] for name in known}
    for path in files:
        names = re.findall(r"^(?:class|def) (\w+)", path.read_text(), re.MULTILINE)
        inside = ".".join(path.relative_to(ROOT).with_suffix("").parts[1:])
        known |= {*names, *(f"{inside}.{name}" for name in names)}
    classes = set(re.findall(r"`([A-Z][a-z]+(?:[A-Z][A-Za-z]*)+)`", page))
    dotted = set(re.findall(r"`([a-z_]+(?:\.\w+)+)`", page))
    dotted = {name for name in dotted if name.rpartition(".")[2] not in ("json", "py", "md", "toml")}
    assert len(classes) > 20
    assert len(dotted) > 20
    assert sorted((classes | dotted) - known) == []


def test_the_changelog_begins_with_the_version_of_the_package():
    version = re.search(r'^version = "(.*)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version is not None
    assert (
        re.findall(r"^## (\S+), \d{4}-\d\d-\d\d$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)[0] == version[1]
    )
