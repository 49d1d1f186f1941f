"""Rewrite the pictures of the documentation from the demo: `python -m tests.browser.pictures`, or `nox -s pictures`."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from tests.browser.conftest import FLAGS, chromium

DOCS: Final = Path(__file__).resolve().parents[2] / "docs"


def main() -> int:
    """Run the demo, and look at what it left; 1 without a browser."""
    path = chromium()
    if path is None:
        sys.stderr.write("there is no Chromium on this machine\n")
        return 1
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory(prefix="batchtrial-pictures-") as folder, sync_playwright() as driver:
        subprocess.run([sys.executable, "-m", "batchtrial", "demo", "--experiments_dir", folder], check=True, stdout=subprocess.DEVNULL)
        run = next(Path(folder).glob("run_*"))
        browser = driver.chromium.launch(executable_path=path, args=list(FLAGS))
        page = browser.new_page(viewport={"width": 1080, "height": 1560}, color_scheme="light")
        page.goto((run / "qwen-1.5b-user_turn" / "reports" / "report.html").as_uri())
        page.screenshot(path=DOCS / "report.png")
        page.set_viewport_size({"width": 1400, "height": 1000})
        page.goto(f"{(run / 'answers.html').as_uri()}#metric=em&sort=effect")
        page.wait_for_selector("[data-usable]")
        page.keyboard.press("j")
        page.wait_for_selector(".panel h2")
        page.evaluate("window.scrollTo(0, 0)")
        page.screenshot(path=DOCS / "answers.png")
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
