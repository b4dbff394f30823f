"""The page of `rarefault doctor`: the same findings as in the terminal, for whoever mends the pictures."""

import pytest
from click.testing import CliRunner

from augment.cli import main
from augment.report import doctor
from tests.augment.report.test_doctor import pictures


@pytest.mark.parametrize(("width", "colours"), [(390, "light"), (1440, "dark")])
def test_the_page_tells_every_finding_with_what_to_do(tmp_path, opened, width, colours):
    root = pictures(tmp_path / "images", leak=10, sound=12, DCIM=9)
    for number in range(12):
        (root / "leak" / f"<i>empty{number}.jpg").touch()
    path = tmp_path / "doctor.html"
    done = CliRunner().invoke(main, ["doctor", str(root), "--report", str(path)])
    assert done.exit_code == doctor.STOPS
    page = opened(path, width, colours)
    assert page.locator(".headline").inner_text().startswith("stops a run")
    told = page.locator("main").inner_text()
    assert "<i>empty11.jpg" in told  # what the terminal leaves to --all is folded
    assert "DCIM looks like a collection" in told
    assert "What to do:" in told
    assert page.locator(".contents a").count() == 2 + page.locator("section[id^=found]").count()


def test_a_page_that_cannot_be_written_is_told(tmp_path):
    root = pictures(tmp_path / "images", leak=10, sound=12)
    done = CliRunner().invoke(main, ["doctor", str(root), "--report", str(tmp_path / "nowhere" / "doctor.html")])
    assert done.exit_code == doctor.STOPS
    assert "choose another --report" in done.output
