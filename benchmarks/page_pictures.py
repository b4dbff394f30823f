"""The README's pictures of the pages: `python -m benchmarks.page_pictures [--out docs/pictures]`, about four minutes.

It starts `rarefault station-demo`, logs in with Chromium, lets faults come, judges some of them, and photographs the
pages at the width of a desktop and of a phone; then `rarefault label` on pictures of the same kind.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

from tests.conftest import CHROMIUM

DESKTOP, PHONE = (1440, 900), (390, 844)
MOST_BYTES = 150_000
LABELLED = ("sealed_transformer", "leaking_transformer")  # a dozen pictures each,
MISLABELLED = {("sealed_transformer", 3): ("leaking_transformer", 973)}  # one of which shows what another seed drew
QUALITIES = (88, 80, 70, 60, 50)


def photograph(page: Page, path: Path) -> None:
    """Write what the page shows, as small as the README wants it."""
    page.wait_for_load_state("load")
    page.wait_for_timeout(1500)  # pictures that the page's script asks for
    for quality in QUALITIES:
        page.screenshot(path=path, type="jpeg", quality=quality)
        if path.stat().st_size < MOST_BYTES:
            break
    print(f"{path} {path.stat().st_size // 1000} kB")


def told(output: Path, pattern: str, seconds: float = 300) -> re.Match[str]:
    """What a started command prints."""
    deadline = time.monotonic() + seconds
    while (found := re.search(pattern, output.read_text())) is None:
        if time.monotonic() > deadline:
            raise SystemExit(f"it did not start:\n{output.read_text()}")
        time.sleep(0.2)
    return found


def started(folder: Path, name: str, *arguments: str) -> tuple["subprocess.Popen[bytes]", Path]:
    """Start `rarefault` with the arguments; returns it and the file of its output."""
    output = folder / name
    with output.open("wb") as file:
        command = [sys.executable, "-u", "-m", "augment.cli", *arguments]
        return subprocess.Popen(command, stdout=file, stderr=file), output


def of_the_station(browser: Any, folder: Path, out: Path, seconds: float) -> None:
    """Photograph the station's page."""
    demo, output = started(folder, "demo.log", "station-demo", "--no-browser", "--out", str(folder / "demo"))
    try:
        address, password = told(output, r"page: (http://\S+)\n  operator  password (\w+)\n").groups()
        page = browser.new_page(viewport=dict(zip(("width", "height"), DESKTOP, strict=True)), color_scheme="dark")
        page.goto(address)
        page.fill("#name", "operator")
        page.fill("#password", password)
        page.click("form.login button")
        page.wait_for_timeout(1000 * seconds)
        page.goto(address)
        photograph(page, out / "live.jpg")
        page.goto(f"{address}events")
        event = page.locator('a[href^="/events/"]').last.get_attribute("href")
        page.goto(f"{address.rstrip('/')}{event}")
        page.keyboard.press("r")
        page.wait_for_timeout(500)
        for name, place in (("event", event), ("night", "/night")):
            page.goto(f"{address.rstrip('/')}{place}")
            page.keyboard.press("m")  # the heat map, where there is one
            photograph(page, out / f"{name}.jpg")
        page.set_viewport_size(dict(zip(("width", "height"), PHONE, strict=True)))
        for name, place in (("live", "/"), ("event", event), ("night", "/night")):
            page.goto(f"{address.rstrip('/')}{place}")
            photograph(page, out / f"{name}-phone.jpg")
        page.close()
    finally:
        demo.terminate()
        demo.wait(60)


def of_labelling(browser: Any, folder: Path, out: Path) -> None:
    """Photograph the page of `rarefault label`."""
    from augment.mini.scenes import FAULT_LABELS
    from augment.station_demo.files import BUNDLE
    from augment.station_demo.pictures import Camera, clean_picture, random_sight

    for label in LABELLED:
        (folder / "images" / label).mkdir(parents=True)
        for index in range(12):
            shown, seed = MISLABELLED.get((label, index), (label, 900 + index))
            picture = clean_picture(random_sight(shown, seed))
            frame = Camera("yard-1", index).frame(picture, "2026-11-26 03:00:00")
            (folder / "images" / label / f"{index}.jpg").write_bytes(frame)
    faults = [part for fault in FAULT_LABELS if fault in LABELLED for part in ("--fault", fault)]
    arguments = ["label", str(folder / "images"), "--bundle", str(BUNDLE), "--no-browser", *faults]
    label, output = started(folder, "label.log", *arguments)
    try:
        address = told(output, r"(http://127\.0\.0\.1:\d+/\S*)")[1]
        page = browser.new_page(viewport=dict(zip(("width", "height"), DESKTOP, strict=True)), color_scheme="dark")
        page.goto(address)
        page.wait_for_timeout(1500)
        page.keyboard.press("7")  # leaking_transformer: the model's box appears
        photograph(page, out / "label.jpg")
        page.set_viewport_size(dict(zip(("width", "height"), PHONE, strict=True)))
        photograph(page, out / "label-phone.jpg")
        page.close()
    finally:
        label.terminate()
        label.wait(60)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("docs/pictures"))
    parser.add_argument("--seconds", type=float, default=130, help="how long faults come before the pictures are taken")
    parser.add_argument("--only", choices=("station", "label"))
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    parts: dict[str, Callable[[Any, Path], None]] = {
        "station": lambda browser, folder: of_the_station(browser, folder, given.out, given.seconds),
        "label": lambda browser, folder: of_labelling(browser, folder, given.out),
    }
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for name, part in parts.items():
            if given.only in (None, name):
                part(browser, Path(folder))
        browser.close()


if __name__ == "__main__":
    main()
