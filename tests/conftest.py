"""Pages in a real browser, for whoever writes one; and tests that need a GPU are skipped where there is none."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edge_runtime.bundle.errors import UnavailableError
from edge_runtime.inference.gpu_driver import ask_driver

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what is marked `gpu` where there is none, and say what is missing."""
    if item.get_closest_marker("gpu"):
        try:
            ask_driver()
        except UnavailableError as error:
            pytest.skip(str(error))


@pytest.fixture(scope="module")  # not longer: other tests count the processes of theirs
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine (Debian: apt install chromium)")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def opened(browser: Any) -> Iterator[Callable[..., Any]]:
    """`opened(path, width, colours)`: the page at so many pixels, light or dark.

    It asks for nothing, fits, says nothing, and passes axe.
    """
    from axe_playwright_python.sync_playwright import Axe

    pages = []

    def open_page(path: Path, width: int, colours: str = "light") -> Any:
        size = {"width": width, "height": 844}
        page = browser.new_page(viewport=size, color_scheme=colours, bypass_csp=True)  # axe is a script
        pages.append(page)
        asked, said = [], []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(path.as_uri())
        assert [url for url in asked if not url.startswith("data:")] == [path.as_uri()]
        assert said == []
        page.eval_on_selector_all("details", "all => all.forEach(one => one.open = true)")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        found = Axe().run(page)
        assert [
            (rule["id"], node["html"][:120]) for rule in found.response["violations"] for node in rule["nodes"]
        ] == []
        return page

    yield open_page
    for page in pages:
        page.close()
