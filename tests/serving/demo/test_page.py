"""The demo's page in a real browser, served by the command itself."""

import importlib.util
import io
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from urllib.parse import urlsplit

import numpy as np
import psutil
import pytest
import requests
from PIL import Image

from auto_deeplab.data.description import DatasetDescription
from auto_deeplab.serving.export.versions import find_version
from auto_deeplab.visualization.overlays import overlay
from tests.helpers import REPOSITORY
from tests.png_files import png_of_size
from tests.serving.conftest import DESCRIPTION

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
pytestmark = [
    pytest.mark.skipif(
        importlib.util.find_spec("gradio") is None,
        reason="needs Gradio: pip install -r requirements-demo.txt",
    ),
    pytest.mark.skipif(CHROMIUM is None, reason="needs chromium, such as Debian's package"),
]
playwright = pytest.importorskip("playwright.sync_api", reason="needs Playwright")

# One that a page might take for its own markup or template.
CLASSES = ("<i>road</i> ${1+1}", "car", "sky")
ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run")
QUIET = ("--disable-background-networking", "--disable-component-update", "--disable-sync")
# The command, which tells when it runs the network and when it talks to other machines.
RUN_COMMAND = """
import runpy
import sys

from auto_deeplab.serving.engines import load as exported

HERE = (None, "", "127.0.0.1", "localhost", b"127.0.0.1", b"localhost")

def tell_outside(event, arguments):
    if event == "socket.getaddrinfo" and arguments[0] not in HERE:
        print("OUTSIDE", arguments, flush=True)
    if event == "socket.connect" and arguments[0].family.name != "AF_UNIX":
        if arguments[1][0] not in HERE:
            print("OUTSIDE", arguments, flush=True)

load_exported = exported.load_exported

def load_counted(*arguments):
    network = load_exported(*arguments)

    def class_maps(images):
        print("NETWORK", images.shape, flush=True)
        if images.shape[2] == 13:
            raise MemoryError("as the test asks for")
        return network.class_maps(images)

    return network._replace(class_maps=class_maps)

exported.load_exported = load_counted
sys.addaudithook(tell_outside)
runpy.run_module("auto_deeplab.demo", run_name="__main__", alter_sys=True)
"""


class Server:
    """The running command.

    Attributes:
        process: Of it.
        url: Of the page.
        uploads: The folder for temporary files.
    """

    def __init__(self, saved_model, folder):
        self.uploads = folder / "uploads"
        self.uploads.mkdir()
        self._log = folder / "log"
        flags = ("--max_upload_megabytes=1", "--max_pixels=5000", f"--saved_model={saved_model}")
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", RUN_COMMAND, *flags],
                cwd=REPOSITORY,
                env=os.environ | {"TMPDIR": str(self.uploads)},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + 300
        while not (found := re.search(r"^open (\S+)", self.log(), re.MULTILINE)):
            assert self.process.poll() is None, self.log()
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.1)
        self.url = found[1]

    def log(self):
        return self._log.read_text()

    def network_runs(self):
        return self.log().count("NETWORK")


@pytest.fixture(scope="module")
def server(exported, tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    saved_model = shutil.copytree(exported, folder / "shapes")
    assets = find_version(saved_model) / "assets"
    (assets / "dataset.json").unlink()
    DatasetDescription("shapes", {"val": 1}, CLASSES, DESCRIPTION.palette).save(assets)
    server = Server(saved_model, folder)
    yield server
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(60) == 0, server.log()
    assert not list(server.uploads.iterdir()), "people's images are left behind"


@pytest.fixture(scope="module")
def browser():
    # Machines that test are busy: five seconds, as by default, may be too few.
    playwright.expect.set_options(timeout=60_000)
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=[*ARGUMENTS, *QUIET])
        yield browser
        browser.close()


@pytest.fixture(params=[(1280, 800), (390, 844)], ids=["desktop", "phone"])
def page(request, server, browser):
    """The page on a screen, which must not need another machine, nor scrolling sideways."""
    width, height = request.param
    page = browser.new_page(viewport={"width": width, "height": height})
    hosts, errors = set(), []
    page.on("request", lambda request: hosts.add(urlsplit(request.url).netloc))
    page.on("pageerror", lambda error: errors.append(error))
    page.goto(server.url)
    yield page
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert hosts - {""} == {urlsplit(server.url).netloc}  # "" is that of data: and blob:
    assert not errors
    page.close()


def photo():
    """An image whose corners differ, uint8 [40, 60, 3]."""
    y, x = np.mgrid[0:40, 0:60]
    return np.stack([y * 6, x * 4, 255 - y * 3 - x * 2], axis=-1).astype(np.uint8)


def png(pixels, **options):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", **options)
    return file.getvalue()


def choose(page, name, content):
    page.locator("input[type=file]").set_input_files(
        {"name": name, "mimeType": "image/png", "buffer": content}
    )


def drop(page, name, content):
    """Drops a file as a mouse does."""
    transfer = page.evaluate_handle(
        """([name, content]) => {
            const transfer = new DataTransfer();
            transfer.items.add(new File([new Uint8Array(content)], name, {type: "image/png"}));
            return transfer;
        }""",
        [name, list(content)],
    )
    zone = page.get_by_role("button", name="drop files")
    for event in ("dragenter", "dragover", "drop"):
        zone.dispatch_event(event, {"dataTransfer": transfer})


def shown(page):
    """The picture's pixels."""
    source = page.locator("#picture img").get_attribute("src")
    return np.asarray(Image.open(io.BytesIO(requests.get(source, timeout=60).content)), np.float32)


def move_slider(page, value):
    """Moves the slider and waits for the next picture."""
    before = page.locator("#picture img").get_attribute("src")
    page.get_by_role("slider", name="Opacity of the colors").fill(str(value))
    playwright.expect(page.locator("#picture img")).not_to_have_attribute("src", before)


def as_sent(pixels):
    """What JPEG makes of them."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG")
    return np.asarray(Image.open(file), np.float32)


@pytest.fixture(scope="module")
def class_map(exported):
    from auto_deeplab.serving.engines.saved_model import class_maps_of_saved_model

    return class_maps_of_saved_model(find_version(exported))(photo()[np.newaxis])[0]


def test_a_person_drops_an_image_and_sees_it_explained(page, server, class_map):
    turned = Image.Exif()
    turned[0x0112] = 6
    drop(page, "street.png", png(np.rot90(photo()).copy(), exif=turned))
    table = page.get_by_role("table", name="Share of the pixels")
    playwright.expect(table).to_be_visible()

    counts = np.bincount(class_map.ravel(), minlength=3)
    assert (counts > 0).sum() > 1, "one class alone would show little"
    order = [index for index in np.argsort(-counts) if counts[index]]
    rows = [row.inner_text().split("\t") for row in table.get_by_role("row").all()]
    assert [row[0].strip() for row in rows] == [CLASSES[index] for index in order]
    for row, index in zip(rows, order, strict=True):
        share = 100 * counts[index] / class_map.size
        assert row[1] == "<1%" if share < 1 else abs(float(row[1].strip("%")) - share) <= 0.5
    colors = [
        swatch.evaluate("element => getComputedStyle(element).backgroundColor")
        for swatch in table.locator(".swatch").all()
    ]
    assert colors == [f"rgb{DESCRIPTION.palette[index]}" for index in order]

    text = page.locator("#facts").inner_text()
    assert "street.png" in text
    assert "60 x 40 pixels" in text
    assert re.search(r"decoded in \d+ ms", text)
    assert re.search(r"network: (\d+ ms|\d+\.\d\d s)", text)
    assert page.get_by_role("img", name=f"{CLASSES[order[0]]} {rows[0][1]}").is_visible()
    blended = overlay(photo(), class_map, DESCRIPTION.palette, 0.6)
    np.testing.assert_allclose(shown(page), as_sent(blended), atol=2)


def test_the_slider_blends_again_and_the_network_rests(page, server, class_map):
    choose(page, "street.png", png(photo()))
    playwright.expect(page.locator("#picture img")).to_be_visible()
    runs = server.network_runs()
    move_slider(page, 0)
    np.testing.assert_allclose(shown(page), as_sent(photo()), atol=2)
    move_slider(page, 1)
    colors = overlay(photo(), class_map, DESCRIPTION.palette, 1.0)
    np.testing.assert_allclose(shown(page), as_sent(colors), atol=2)
    assert server.network_runs() == runs


def test_mistakes_are_explained_and_the_page_lives_on(page, server):
    process = psutil.Process(server.process.pid)
    memory = process.memory_info().rss
    for name, content, message in (
        ("text.png", b"text", "text.png: not an image file"),
        (
            "b" * 100 + ".png",
            png_of_size(20000, 20000),
            "20000x20000 pixels; expected at most 5,000",
        ),
        ("large.png", png(np.zeros([51, 99, 3], np.uint8)), "99x51 pixels; expected at most 5,000"),
        ("refused.png", png(np.zeros([60, 70, 3], np.uint8)), "refused by the network"),
        ("starved.png", png(np.zeros([60, 13, 3], np.uint8)), "starved.png: the network failed"),
    ):
        choose(page, name, content)
        playwright.expect(page.get_by_role("alert")).to_contain_text(message)
        assert page.locator("#picture").is_hidden()
    assert "MemoryError: as the test asks for" in server.log()
    choose(page, "heavy.png", bytes(1_100_000))
    playwright.expect(page.get_by_text("exceed the maximum allowed size")).to_be_visible()
    assert process.memory_info().rss - memory < 100e6, "20000x20000 pixels would be 1200 MB"

    choose(page, "street.png", png(photo()))
    playwright.expect(page.locator("#picture img")).to_be_visible()
    assert page.get_by_role("alert").count() == 0


def test_the_server_itself_refuses_large_uploads(server):
    answer = requests.post(
        f"{server.url}/gradio_api/upload", files={"files": bytes(1_100_000)}, timeout=60
    )
    assert answer.status_code == 413
    sizes = [path.stat().st_size for path in server.uploads.rglob("*") if path.is_file()]
    assert max(sizes, default=0) < 1_000_000


def test_nothing_is_sent_to_other_machines(page, server):
    choose(page, "street.png", png(photo()))
    playwright.expect(page.locator("#picture img")).to_be_visible()
    assert "OUTSIDE" not in server.log()
    addresses = {
        connection.laddr.ip for connection in psutil.Process(server.process.pid).net_connections()
    }
    assert addresses == {"127.0.0.1"}
