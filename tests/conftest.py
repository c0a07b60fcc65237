"""Settings of every test run: quiet TensorFlow, and memory given back after each test."""

import ctypes
import gc
import os
import shutil
import sys

import psutil
import pytest
from hypothesis import settings as hypothesis_settings
from places import ROOT

collect_ignore_glob = ["scripts/nnunet_*"]  # which import nnU-Net

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # some tests import PyTorch before unetzoo

hypothesis_settings.register_profile("any machine", deadline=None)  # no seconds are asserted
hypothesis_settings.load_profile("any machine")

STEP = 200 * 2**20  # bytes; the libraries alone take 1 GiB
LIBRARY = 100  # modules
kept = 2**30
imported = 0


if os.environ["KERAS_BACKEND"] == "jax":
    import quick_jax

    quick_jax.make_quick()


@pytest.fixture(autouse=True, scope="session")
def keras_is_quickly_loaded():
    """By processes that tests start; this one has loaded it with all that it looks for."""
    places = [str(ROOT / "tests" / "helpers" / "lean"), os.environ.get("PYTHONPATH")]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, places))


@pytest.fixture(autouse=True)
def libraries_left_alone():
    """Collections of garbage pass over what stays, or they take a sixth of the suite's time."""
    global imported
    yield
    if len(sys.modules) >= imported + LIBRARY:
        gc.collect()
        gc.freeze()
        imported = len(sys.modules)


@pytest.fixture(autouse=True)
def memory_given_back():
    """Without it the suite needs 11 GiB, with it 6.

    TensorFlow keeps each traced training step for ever, with its model and its optimizer:
    ``tf.custom_gradient`` enters them in a global registry.
    """
    global kept
    yield
    if psutil.Process().memory_info().rss < kept + STEP:
        return
    if "tensorflow" in sys.modules:
        from tensorflow.python.framework import ops

        registry = ops.gradient_registry._registry
        for name in [name for name in registry if name.startswith("CustomGradient-")]:
            del registry[name]
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    kept = psutil.Process().memory_info().rss


@pytest.fixture(scope="session")
def small_data(tmp_path_factory):
    """Ten pictures of three classes."""
    from unetzoo.data.synthetic import write_dataset

    folder = tmp_path_factory.mktemp("small_data")
    write_dataset(folder, 10, (48, 41), classes=3, layout="pictures")
    return folder


@pytest.fixture(scope="session")
def small_run(small_data, tmp_path_factory):
    """A run of four epochs, trained once for all tests, which leave it as it is."""
    from small_runs import settings

    from unetzoo.pipeline.trainer import train

    folder = tmp_path_factory.mktemp("small_runs") / "run"
    train(settings(small_data), folder)
    return folder


@pytest.fixture(scope="module")
def no_network():
    import tfds_data

    with tfds_data.no_network:
        yield


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    """A data set of TFDS with twelve drawn pictures."""
    import tfds_data

    return tfds_data.cells(tmp_path_factory.mktemp("cells"))


@pytest.fixture(scope="module")
def chromium():
    """Debian's chromium; a skip where there is none, but not in CI."""
    path = shutil.which("chromium")
    if path is None:
        message = "chromium is missing: apt-get install chromium"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=path, args=["--headless", "--no-sandbox", "--disable-gpu"]
        )
        yield browser
        browser.close()


@pytest.fixture
def offline(chromium):
    """Opens a page from disk without a network; anything it complains of fails the test."""
    contexts, complaints = [], []

    def opened(place, width=1280, may_read=("file:",), **settings):
        context = chromium.new_context(
            offline=True, viewport={"width": width, "height": 900}, **settings
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(dialog.message))
        page.on(
            "request",
            lambda request: request.url.startswith(may_read) or complaints.append(request.url),
        )
        page.goto(place.as_uri())
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []
