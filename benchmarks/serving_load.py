"""Puts load on an exported network and tells throughput, latencies and memory.

Clients are threads that send JPEG files of many sizes, one request after the other. They ask
  --saved_model: the signature image_bytes in this process: what a server does without its network,
  --server: a server with TensorFlow Serving's interfaces, as `auto_deeplab.client` does,
  --demo: the page of a running `auto_deeplab.demo`: upload, wait, fetch the overlay.
Each answer must have its image's size; the first that does not, or that never comes, ends the run.

The resident memory is that of this process; with --demo, of the page's process, if it runs on this
machine. It is told for each tenth of the run, as a median. In the first half it may settle: memory
grew if the last tenth has over 1% more than the sixth.

Examples:
  python -m benchmarks.serving_load --saved_model=exported/street_scenes --minutes=10
  python -m benchmarks.serving_load --saved_model=exported/street_scenes --requests_per_second=5
  python -m benchmarks.serving_load --server=http://localhost:8501 --model=street_scenes
  python -m benchmarks.serving_load --demo=http://127.0.0.1:7860 --clients=2 --json
"""

import io
import json
import os
import statistics
import threading
import time
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from absl import flags

from auto_deeplab import command_line
from auto_deeplab.foundations.errors import UserError
from benchmarks.measuring.peak_memory import memory_over_time, peak_megabytes

if TYPE_CHECKING:
    import psutil

_SAVED_MODEL = command_line.define_path(
    "saved_model", None, "NAME/VERSION, or NAME for its newest version."
)
_SERVER = flags.DEFINE_string(
    "server", None, "http://HOST:PORT for REST, grpc://HOST:PORT for gRPC."
)
_MODEL = flags.DEFINE_string("model", None, "With --server, the model's name there.")
_DEMO = flags.DEFINE_string("demo", None, "The page's address.")
_CLIENTS = flags.DEFINE_integer("clients", 4, "Threads that send requests.", lower_bound=1)
_REQUESTS_PER_SECOND = flags.DEFINE_float(
    "requests_per_second",
    None,
    "Of all clients together; latencies then count from the moment at which a request is due. By "
    "default each client sends its next request when it has the answer.",
    lower_bound=0.01,
)
_FILES = flags.DEFINE_integer(
    "files", 1, "Files in a request; with --server and --demo always one.", lower_bound=1
)
_MINUTES = flags.DEFINE_float("minutes", 10, "How long.", lower_bound=0.05)
_LONGEST = flags.DEFINE_integer(
    "longest", 513, "Sides are drawn from half of this to this.", lower_bound=2
)
_JSON = flags.DEFINE_bool("json", False, "Print JSON instead of a table.")

_PARTS = 10
_DIFFERENT_FILES = 64
_TIMEOUT = 600  # seconds: on a busy machine answers are late, not lost

# Sends files; returns the (height, width) of each answer.
Ask = Callable[[list[bytes]], list[tuple[int, int]]]
Image = tuple[bytes, tuple[int, int]]  # a file, and its (height, width)


def main(argv: list[str]) -> None:
    del argv
    _check_flags()

    import psutil

    process = psutil.Process()
    if _SAVED_MODEL.value:
        ask = _ask_saved_model(_SAVED_MODEL.value)
    elif _SERVER.value:
        ask = _ask_server(_SERVER.value, _MODEL.value)
    else:
        ask = _ask_demo(_DEMO.value)
        process = _process_behind(_DEMO.value) or process
    images = _images(_LONGEST.value)
    ask([images[0][0]] * _FILES.value)

    latencies, resident, seconds = _put_load(ask, images, process)
    report = _report(latencies, seconds)
    if process.pid == os.getpid():
        report["peak_megabytes"] = peak_megabytes()
    report |= memory_over_time(resident)
    if _JSON.value:
        print(json.dumps(report, indent=1))
    else:
        _print(report)


def _check_flags() -> None:
    values = {"saved_model": _SAVED_MODEL.value, "server": _SERVER.value, "demo": _DEMO.value}
    given = [f"--{flag}" for flag, value in values.items() if value]
    if len(given) != 1:
        raise UserError(
            f"received {' and '.join(given) or 'none'}; expected one of --saved_model, --server "
            "and --demo"
        )
    if bool(_SERVER.value) != bool(_MODEL.value):
        raise UserError("received --server or --model alone; expected both, or neither")
    if _FILES.value > 1 and not _SAVED_MODEL.value:
        raise UserError(f"--files: received {_FILES.value}; expected 1, or --saved_model")


def _put_load(
    ask: Ask, images: list[Image], process: "psutil.Process"
) -> tuple[list[float], list[float], float]:
    """Lets the clients ask until the time is over.

    Returns:
        The latencies in seconds, the median of the resident megabytes in each part of the run, and
        the seconds that it took.

    Raises:
        Exception: What a client met first.
    """
    from tqdm import tqdm

    total = 60 * _MINUTES.value
    latencies: list[float] = []
    errors: list[Exception] = []
    resident: list[list[float]] = [[] for _ in range(_PARTS)]
    started = time.perf_counter()

    def elapsed() -> float:
        return time.perf_counter() - started

    def send(client: int) -> None:
        number = client
        interval = _CLIENTS.value / _REQUESTS_PER_SECOND.value if _REQUESTS_PER_SECOND.value else 0
        due = interval * client / _CLIENTS.value
        try:
            while max(elapsed(), due) < total and not errors:
                chosen = [images[(number + k) % len(images)] for k in range(_FILES.value)]
                if interval:
                    time.sleep(max(due - elapsed(), 0))
                else:
                    due = elapsed()
                sizes = ask([file for file, _ in chosen])
                latencies.append(elapsed() - due)
                if sizes != [size for _, size in chosen]:
                    raise UserError(
                        f"received class maps of {sizes}; expected {[size for _, size in chosen]}"
                    )
                due += interval
                # A step that visits all files in an order of the client's own.
                number += 2 * client + 1
        except Exception as error:
            errors.append(error)

    clients = [threading.Thread(target=send, args=(client,)) for client in range(_CLIENTS.value)]
    for client in clients:
        client.start()
    with tqdm(total=round(total), unit="s", desc="load", disable=None) as bar:
        while any(client.is_alive() for client in clients):
            part = min(int(elapsed() / total * _PARTS), _PARTS - 1)
            resident[part].append(process.memory_info().rss / 1e6)
            bar.update(min(round(elapsed()), bar.total) - bar.n)
            time.sleep(min(0.5, total / _PARTS / 4))
    if errors:
        raise errors[0]
    return latencies, [statistics.median(part) for part in resident if part], elapsed()


def _ask_saved_model(path: str) -> Ask:
    import tensorflow as tf

    from auto_deeplab.serving.export.versions import find_version

    loaded = tf.saved_model.load(str(find_version(path)))

    def ask(files: list[bytes]) -> list[tuple[int, int]]:
        # A signature alone does not keep what was loaded alive.
        answer = loaded.signatures["image_bytes"](image_bytes=tf.constant(files))
        answer["class_map"].numpy()
        sizes = zip(answer["height"].numpy(), answer["width"].numpy(), strict=True)
        return [(int(height), int(width)) for height, width in sizes]

    return ask


def _ask_server(server: str, model: str) -> Ask:
    import cv2
    import numpy as np

    from auto_deeplab.serving.engines.server import class_maps_of_server

    class_maps = class_maps_of_server(server, model, _TIMEOUT)

    def ask(files: list[bytes]) -> list[tuple[int, int]]:
        (file,) = files
        image = cast(np.ndarray, cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_COLOR))
        _, *size = class_maps(image[np.newaxis, ..., ::-1]).shape
        return [tuple(size)]

    return ask


def _ask_demo(url: str) -> Ask:
    """Does what the page does in a browser, through Gradio's own interface."""
    import PIL.Image
    import requests

    interface = f"{url.rstrip('/')}/gradio_api"

    def ask(files: list[bytes]) -> list[tuple[int, int]]:
        session = uuid.uuid4().hex
        uploaded = requests.post(
            f"{interface}/upload", files={"files": ("image.jpg", files[0])}, timeout=_TIMEOUT
        )
        uploaded.raise_for_status()
        upload = {"path": uploaded.json()[0], "meta": {"_type": "gradio.FileData"}}
        requests.post(
            f"{interface}/queue/join",
            json={"data": [upload, 0.6], "fn_index": 0, "session_hash": session},
            timeout=_TIMEOUT,
        ).raise_for_status()
        picture = requests.get(_picture(interface, session), timeout=_TIMEOUT)
        picture.raise_for_status()
        with PIL.Image.open(io.BytesIO(picture.content)) as image:
            return [image.size[::-1]]

    return ask


def _picture(interface: str, session: str) -> str:
    """Waits for a session's event and returns the address of the picture that it made."""
    import requests

    with requests.get(
        f"{interface}/queue/data",
        params={"session_hash": session},
        stream=True,
        timeout=_TIMEOUT,
    ) as events:
        for line in events.iter_lines():
            message = json.loads(line.removeprefix(b"data: ")) if line else {}
            if message.get("msg") != "process_completed":
                continue
            for part in message["output"].get("data", ()):
                value = part.get("value") if isinstance(part, dict) else None
                if isinstance(value, dict) and value.get("url"):
                    return value["url"]
            break
    raise UserError(f"--demo: received no picture from {interface}; expected an overlay")


def _process_behind(url: str) -> "psutil.Process | None":
    """Returns the process of this machine that listens at an address; None if there is none."""
    import psutil

    port = urlsplit(url).port
    for connection in psutil.net_connections("tcp"):
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port:
            return psutil.Process(connection.pid)
    return None


def _report(latencies: list[float], seconds: float) -> dict[str, Any]:
    import numpy as np

    return {
        "clients": _CLIENTS.value,
        "files_a_request": _FILES.value,
        "seconds": seconds,
        "requests": len(latencies),
        "images_per_second": len(latencies) * _FILES.value / seconds,
        "p50_seconds": float(np.percentile(latencies, 50)),
        "p99_seconds": float(np.percentile(latencies, 99)),
    }


def _print(report: dict[str, Any]) -> None:
    for name, value in report.items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            print(f"{name:32} {value:.5g}")
    minutes = report["seconds"] / 60 / _PARTS
    print("resident MB by time:")
    for part, megabytes in enumerate(report["resident_megabytes"]):
        print(f"  {part * minutes:5.1f} to {(part + 1) * minutes:.1f} min  {megabytes:.0f}")
    print("memory grew" if report["memory_grew"] else "memory did not grow")


def _images(longest: int) -> list[Image]:
    """Returns JPEG files of noise with their (height, width), which differ."""
    import cv2
    import numpy as np

    rng = np.random.default_rng(0)
    sizes = rng.integers(max(longest // 2, 1), longest + 1, [_DIFFERENT_FILES, 2])
    images = [rng.integers(0, 256, [*size, 3], np.uint8) for size in sizes]
    return [
        (cv2.imencode(".jpg", image)[1].tobytes(), (int(height), int(width)))
        for image, (height, width) in zip(images, sizes, strict=True)
    ]


if __name__ == "__main__":
    command_line.run(main)
