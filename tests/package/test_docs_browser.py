"""The documentation in a real browser: built as CI builds it, at 400 px and in dark mode."""

import http.server
import importlib.util
import os
import subprocess
import sys
import threading
from functools import partial

import pytest
from places import ROOT

pytestmark = pytest.mark.browser


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The address of the built pages."""
    if importlib.util.find_spec("mkdocs") is None:
        message = 'mkdocs is missing: pip install -e ".[docs]"'
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-q", "-d", str(folder)],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    handler = partial(Quiet, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1280])
def test_pages_fit_and_need_nothing_from_elsewhere(chromium, site, width, scheme):
    context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page, complaints = context.new_page(), []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda r: r.url.startswith(site) or complaints.append(r.url))
    for name in (
        "index", "how-to/train", "explanation/statements", "reference/unetzoo",
        "notebooks/01_summaries", "notebooks/02_brain_template", "changes",
    ):  # fmt: skip
        page.goto(f"{site}/{name}.html")
        assert page.locator("h1").is_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert all(page.evaluate("[...document.images].map(image => image.naturalWidth > 0)"))
        shade = page.evaluate("getComputedStyle(document.body).backgroundColor")
        red = int(shade.split("(")[1].split(",")[0])
        assert red > 200 if scheme == "light" else red < 60
    context.close()
    assert complaints == []


def test_the_search_finds_a_statement(chromium, site):
    page = chromium.new_page()
    page.goto(f"{site}/index.html")
    query = page.locator("[data-md-component=search-query]")
    query.click()
    query.press_sequentially("7.7 million")
    page.locator(".md-search-result__link").first.wait_for()
    assert "What the documents state" in page.locator(".md-search-result__list").inner_text()


def test_a_notebook_shows_what_its_cells_gave(chromium, site):
    page = chromium.new_page()
    page.goto(f"{site}/notebooks/02_brain_template.html")
    assert page.locator("h1").inner_text().startswith("A 3D U-Net on a brain template")
    assert page.locator(".md-content .highlight.output").count() > 5
    assert page.locator(".md-content img").count() == 5
    with page.expect_download() as download:
        page.get_by_role("link", name="Download the notebook").click()
    notebook = ROOT / "examples" / "02_brain_template.ipynb"
    assert download.value.path().read_bytes() == notebook.read_bytes()
