"""What the demo's page gives to whoever asks it by HTTP: results of uploads, and nothing else."""

import importlib.util
import io
import json
import os
import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest
import requests
from PIL import Image

from auto_deeplab.data.description import DatasetDescription
from auto_deeplab.serving.segmenter import ExportedNetwork

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("gradio") is None,
    reason="needs Gradio: pip install -r requirements-demo.txt",
)
DESCRIPTION = DatasetDescription("halves", {"val": 1}, ("dark", "light"), ((90, 0, 0), (0, 90, 0)))
META = {"_type": "gradio.FileData"}
# The endpoints of the page: what they do, and how many inputs they have.
SEE, BLEND = 0, 1


class Page:
    """The page, served on this machine.

    Attributes:
        url: Its address.
        uploads: The folder for uploads and results.
        seen: The images that reached the network.
        fetched: The requests that reached a web server on this machine.
    """

    def __init__(self, url, uploads, seen, decoy, fetched):
        self.url, self.uploads, self.seen = url, uploads, seen
        self.decoy, self.fetched = decoy, fetched

    def upload(self, name, content):
        answer = requests.post(
            f"{self.url}/gradio_api/upload", files={"files": (name, content)}, timeout=60
        )
        assert answer.status_code == 200
        return answer.json()[0]

    def join(self, function, *data, route="queue/join", **more):
        body = {"data": data, "fn_index": function, "trigger_id": 4, "session_hash": "s"} | more
        return requests.post(f"{self.url}/gradio_api/{route}", json=body, timeout=60)

    def result(self):
        """What the queue says at the end of the event that was joined."""
        with requests.get(
            f"{self.url}/gradio_api/queue/data?session_hash=s", stream=True, timeout=60
        ) as answer:
            for line in answer.iter_lines():
                message = json.loads(line.removeprefix(b"data: ")) if line else {}
                if message.get("msg") == "process_completed":
                    return message
        raise AssertionError("no result")

    def files(self):
        return {path for path in self.uploads.rglob("*") if path.is_file()}

    def get(self, path):
        """Asks for a path as it stands: `requests` would take ".." out of it."""
        request = requests.Request("GET", self.url).prepare()
        request.url = f"{self.url}{path}"
        with requests.Session() as session:
            return session.send(request, timeout=60)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    uvicorn = pytest.importorskip("uvicorn")
    uploads = tmp_path_factory.mktemp("uploads").resolve()
    seen, fetched = [], []

    def class_maps(images):
        seen.append(images)
        return (images.mean(axis=-1) > 127).astype(np.int32)

    class Decoy(BaseHTTPRequestHandler):
        def do_GET(self):
            fetched.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(secret_png())

        do_HEAD = do_GET

        def log_message(self, *args):
            pass

    decoy = HTTPServer(("127.0.0.1", 0), Decoy)
    threading.Thread(target=decoy.serve_forever, daemon=True).start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(uploads))
        from auto_deeplab.serving.demo.page import demo_app

        app = demo_app(ExportedNetwork("halves", class_maps, DESCRIPTION), 10**6, 1)
        listening = socket.create_server(("127.0.0.1", 0))
        server = uvicorn.Server(
            uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1)
        )
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        yield Page(
            f"http://127.0.0.1:{listening.getsockname()[1]}",
            uploads,
            seen,
            f"http://127.0.0.1:{decoy.server_port}",
            fetched,
        )
        server.should_exit = True
        thread.join(30)
        decoy.shutdown()


def secret_png():
    file = io.BytesIO()
    Image.fromarray(np.full([30, 40, 3], 77, np.uint8)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def secret(tmp_path):
    """An image of the machine that no one uploaded."""
    path = tmp_path.resolve() / "secret.png"
    path.write_bytes(secret_png())
    return path


def test_an_upload_is_seen_and_its_result_can_be_fetched(page):
    path = page.upload("a b ü.png", secret_png())
    assert page.join(SEE, {"path": path, "meta": META}, 0).status_code == 200
    message = page.result()
    assert message["success"], message
    np.testing.assert_array_equal(page.seen[-1], np.full([1, 30, 40, 3], 77))
    urls = [
        part["value"]["url"]
        for part in message["output"]["data"]
        if isinstance(part, dict) and isinstance(part.get("value"), dict)
    ]
    (url,) = [url for url in urls if url]
    with Image.open(io.BytesIO(requests.get(url, timeout=60).content)) as picture:
        assert np.abs(np.asarray(picture, int) - 77).max() <= 2  # JPEG
    assert requests.get(f"{page.url}/", timeout=60).status_code == 200


def ways_to(secret, page):
    """Paths that name the secret, and files that name it."""
    (page.uploads / "link.png").unlink(missing_ok=True)
    (page.uploads / "link.png").symlink_to(secret)
    (page.uploads / "folder").unlink(missing_ok=True)
    (page.uploads / "folder").symlink_to(secret.parent)
    relative = os.path.relpath(secret, page.uploads)
    return {
        "absolute": str(secret),
        "relative": os.path.relpath(secret),
        "by ..": f"{page.uploads}/{relative}",
        "doubled slashes": f"/{page.uploads}//{relative}",
        "link": str(page.uploads / "link.png"),
        "linked folder": str(page.uploads / "folder" / secret.name),
        "file URL": secret.as_uri(),
        "URL": f"{page.decoy}/secret.png",
        "neighbor": f"{page.uploads}-of-others/secret.png",
        "the folder": str(page.uploads),
        "NUL": f"{page.uploads}/\0{secret}",
        "surrogate": f"{page.uploads}/\ud800.png",
        "long": f"{page.uploads}/{'x' * 5000}",
        "empty": "",
    }


WAYS = (
    *("absolute", "relative", "by ..", "doubled slashes", "link", "linked folder", "file URL"),
    *("URL", "neighbor", "the folder", "NUL", "surrogate", "long", "empty"),
)


@pytest.mark.parametrize("way", WAYS)
def test_no_input_of_an_endpoint_takes_another_file(page, secret, way):
    path = ways_to(secret, page)[way]
    upload = page.upload("own.png", secret_png())
    files, seen = page.files(), len(page.seen)
    for file in (
        {"path": path, "meta": META},
        {"path": path, "meta": META, "is_stream": True},
        {"path": path, "meta": META, "url": f"{page.url}/gradio_api/file={upload}"},
        {"path": path},
    ):
        for function, data in (
            (SEE, [file, 0]),
            (SEE, [[file], 0]),
            (SEE, [{"path": upload, "meta": META}, file]),
            (SEE, [{"path": upload, "meta": META | {"more": [file]}}, 0]),
            (BLEND, [file, 0]),
            (BLEND, [None, {"deep": [{"er": file}]}]),
        ):
            assert page.join(function, *data).status_code == 403
        assert page.join(SEE, None, 0, event_data=file).status_code == 403
    # What is no text names no file either.
    for other in (None, 7, [path], {"path": path}):
        assert page.join(SEE, {"path": other, "meta": META}, 0).status_code == 403
    assert page.files() == files, "nothing was copied"
    assert len(page.seen) == seen
    assert not page.fetched


@pytest.mark.parametrize("way", WAYS)
def test_the_route_for_files_gives_no_other_file(page, secret, way):
    path = ways_to(secret, page)[way].encode("utf-8", "surrogatepass")
    quoted = "".join(f"%{byte:02x}" for byte in path)
    paths = [quoted, quoted.replace("%2f", "/"), quoted.replace("%", "%25")]
    for asked in paths:
        for prefix in ("file=", "file/", "proxy=", "stream/", "/file="):
            answer = page.get(f"/gradio_api/{prefix}{asked}")
            assert answer.status_code in (400, 403, 404)
            assert secret.read_bytes() not in answer.content
    assert not page.fetched


def test_an_uploads_url_is_not_believed(page, secret):
    upload = page.upload("own.png", secret_png())
    for url in (f"{page.decoy}/x", secret.as_uri(), f"{page.url}/gradio_api/proxy={page.decoy}"):
        file = {"path": upload, "meta": META, "url": url, "is_stream": True}
        assert page.join(SEE, file, 0).status_code == 200
        assert page.result()["success"]
    assert not page.fetched


OTHER_ROUTES = (
    *("run/see", "api/see", "call/see", "call/v2/see", "run/predict", "component_server"),
    *("cancel", "process_recording", "vibe-edit", "stream/x", "queue/join/", "queue//join"),
)


@pytest.mark.parametrize("route", OTHER_ROUTES)
def test_other_ways_to_call_a_function_are_closed(page, secret, route):
    file = {"path": str(secret), "meta": META}
    files, seen = page.files(), len(page.seen)
    answer = page.join(SEE, file, 0, route=route, fn_name="ls", component_id=3)
    assert answer.status_code in (404, 405)
    assert page.files() == files
    assert len(page.seen) == seen


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 403),
        (b"{", 403),
        (b"\xff", 403),
        (b"[" * 50_000, 403),
        (b'{"data": [' + b"0," * 100_000 + b"0]}", 413),
        (b"[]", 422),
    ],
)
def test_requests_that_cannot_be_judged_are_refused(page, body, status):
    for kind in ("application/json", "text/plain", "multipart/form-data; boundary=x"):
        answer = requests.post(
            f"{page.url}/gradio_api/queue/join",
            data=body,
            headers={"Content-Type": kind},
            timeout=60,
        )
        assert answer.status_code == status


def test_what_is_judged_is_what_is_read(page, secret):
    """A name that stands twice, and other kinds of content, are judged as they will be read."""
    upload = page.upload("own.png", secret_png())
    seen = len(page.seen)
    for first, second in ((upload, str(secret)), (str(secret), upload)):
        paths = f'"path": {json.dumps(first)}, "path": {json.dumps(second)}'
        file = f'{{{paths}, "meta": {json.dumps(META)}}}'
        body = f'{{"data": [{file}, 0], "fn_index": 0, "trigger_id": 4, "session_hash": "s"}}'
        for kind in ("application/json", "text/plain"):
            answer = requests.post(
                f"{page.url}/gradio_api/queue/join",
                data=body.encode(),
                headers={"Content-Type": kind},
                timeout=60,
            )
            assert answer.status_code == (200 if second == upload else 403)
            if second == upload:
                assert page.result()["success"]
                seen += 1
    assert len(page.seen) == seen


def test_names_of_uploads_lead_nowhere_else(page, tmp_path):
    for name in ("../../evil.png", "/etc/evil.png", "..", "a/../../evil.png"):
        answer = requests.post(
            f"{page.url}/gradio_api/upload", files={"files": (name, b"x")}, timeout=60
        )
        if answer.ok:
            (path,) = map(Path, answer.json())
            assert path.resolve().parent.parent == page.uploads
    assert not (page.uploads.parent / "evil.png").exists()
