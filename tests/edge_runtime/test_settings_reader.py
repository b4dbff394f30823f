"""Every key is checked, and a wrong one is met with the nearest right one; text is never quoted."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from edge_runtime.bundle.errors import InputError
from edge_runtime.settings_reader import build, read_toml


@dataclass(frozen=True)
class Lamp:
    watts: float = field(default=5.0, metadata={"low": 0.5, "high": 60.0})
    colour: str = field(default="white", metadata={"choices": ("white", "amber")})
    spares: int = field(default=0, metadata={"low": 0})


@dataclass(frozen=True)
class House:
    name: str
    lamps: tuple[Lamp, ...] = ()
    sizes: dict[str, float] = field(default_factory=dict)
    corner: tuple[int, int] = (0, 0)
    plan: Path | None = None


def test_sections_lists_paths_and_numbers_are_read_by_their_types():
    content = {"name": "a", "lamps": [{"watts": 3}], "sizes": {"door": 2}, "corner": [1, 2], "plan": "x.svg"}
    assert build(House, content, "") == House("a", (Lamp(3.0),), {"door": 2.0}, (1, 2), Path("x.svg"))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ({}, "house.name is missing; it has to be set"),
        ({"name": "a", "lmaps": []}, "house.lmaps is unknown; did you mean lamps"),
        ({"name": 3}, "house.name is 3, expected a text"),
        ({"name": "a", "lamps": {}}, "house.lamps is a section, expected a list"),
        ({"name": "a", "corner": [1]}, "house.corner has 1 values, expected 2"),
        ({"name": "a", "sizes": {"door": True}}, "house.sizes.door is true, expected a number"),
        ({"name": "a", "sizes": {"door": float("nan")}}, "house.sizes.door is nan, expected a finite number"),
        ({"name": "a", "lamps": [{"watts": "secret"}]}, r"house.lamps\[0\].watts is a text, expected a number"),
        ({"name": "a", "lamps": [{"watts": 90}]}, "watts is 90.0, expected 0.5 to 60.0"),
        ({"name": "a", "lamps": [{"spares": -1}]}, "spares is -1, expected at least 0"),
        ({"name": "a", "lamps": [{"colour": "red"}]}, "colour is 'red', expected one of white, amber"),
        ([], "house is a list, expected a section"),
    ],
)
def test_a_mistake_is_one_sentence(content, sentence):
    with pytest.raises(InputError, match=sentence):
        build(House, content, "house")


def test_a_file_that_cannot_be_read_comes_with_what_to_do(tmp_path):
    with pytest.raises(InputError, match=r"No such file or directory\); write one"):
        read_toml(tmp_path / "missing.toml", "write one")
    (tmp_path / "a.toml").write_bytes(b"\xff")
    with pytest.raises(InputError, match="is no UTF-8 text"):
        read_toml(tmp_path / "a.toml")
    (tmp_path / "a.toml").write_text("[open")
    with pytest.raises(InputError, match="is no TOML"):
        read_toml(tmp_path / "a.toml")
    (tmp_path / "a.toml").write_bytes(b"#" * (1 << 20) + b"#")
    with pytest.raises(InputError, match="settings have at most"):
        read_toml(tmp_path / "a.toml")
