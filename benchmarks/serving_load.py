"""Loads the signature image_bytes with concurrent clients: throughput, latencies, memory.

Clients are threads that send JPEG files of many sizes, one request after the other, to a SavedModel
in this process: what a server does without its network. Whether memory grows shows in the medians
of the resident memory in each tenth of the run; the first is warm-up.

Example:
  python -m benchmarks.serving_load --saved_model=exported/street_scenes --seconds=600
  python -m benchmarks.serving_load --saved_model=exported/street_scenes --clients=8 --json
"""

import json
import statistics
import threading
import time
from typing import Any

from absl import flags

from auto_deeplab import command_line
from benchmarks.peak_memory import peak_megabytes

_SAVED_MODEL = flags.DEFINE_string(
    "saved_model", None, "NAME/VERSION, or NAME for its newest version.", required=True
)
_CLIENTS = flags.DEFINE_integer("clients", 4, "Threads that send requests.", lower_bound=1)
_FILES = flags.DEFINE_integer("files", 1, "Files in a request.", lower_bound=1)
_SECONDS = flags.DEFINE_float("seconds", 600, "How long.", lower_bound=1)
_LONGEST = flags.DEFINE_integer(
    "longest", 513, "Sides are drawn from half of this to this.", lower_bound=2
)
_JSON = flags.DEFINE_bool("json", False, "Print JSON instead of a table.")

_PARTS = 10
_DIFFERENT_FILES = 64


def main(argv: list[str]) -> None:
    del argv
    import psutil
    import tensorflow as tf

    from auto_deeplab.serving.versions import find_version

    loaded = tf.saved_model.load(str(find_version(_SAVED_MODEL.value)))
    serve = loaded.signatures["image_bytes"]
    files = _files(_LONGEST.value)
    serve(image_bytes=tf.constant(files[:1]))

    latencies: list[list[float]] = [[] for _ in range(_CLIENTS.value)]
    resident: list[list[float]] = [[] for _ in range(_PARTS)]
    started = time.perf_counter()

    def elapsed() -> float:
        return time.perf_counter() - started

    def send(client: int) -> None:
        number = client
        while elapsed() < _SECONDS.value:
            request = [files[(number + k) % len(files)] for k in range(_FILES.value)]
            before = time.perf_counter()
            serve(image_bytes=tf.constant(request))["class_map"].numpy()
            latencies[client].append(time.perf_counter() - before)
            # A step that visits all files in an order of the client's own.
            number += 2 * client + 1

    clients = [threading.Thread(target=send, args=(client,)) for client in range(_CLIENTS.value)]
    for client in clients:
        client.start()
    process = psutil.Process()
    while any(client.is_alive() for client in clients):
        part = min(int(elapsed() / _SECONDS.value * _PARTS), _PARTS - 1)
        resident[part].append(process.memory_info().rss / 1e6)
        time.sleep(min(0.5, _SECONDS.value / _PARTS / 4))
    seconds = elapsed()
    report = _report([latency for of_client in latencies for latency in of_client], seconds)
    report["resident_megabytes"] = [statistics.median(part) for part in resident if part]
    if _JSON.value:
        print(json.dumps(report, indent=1))
        return
    for name, value in report.items():
        values = value if isinstance(value, list) else [value]
        print(f"{name:24}", *(f"{number:.4g}" for number in values))


def _report(latencies: list[float], seconds: float) -> dict[str, Any]:
    import numpy as np

    return {
        "clients": _CLIENTS.value,
        "seconds": seconds,
        "requests": len(latencies),
        "images_per_second": len(latencies) * _FILES.value / seconds,
        "p50_seconds": float(np.percentile(latencies, 50)),
        "p99_seconds": float(np.percentile(latencies, 99)),
        "peak_megabytes": peak_megabytes(),
    }


def _files(longest: int) -> list[bytes]:
    """Returns JPEG files of noise whose sizes all differ."""
    import cv2
    import numpy as np

    rng = np.random.default_rng(0)
    sizes = rng.integers(max(longest // 2, 1), longest + 1, [_DIFFERENT_FILES, 2])
    images = [rng.integers(0, 256, [*size, 3], np.uint8) for size in sizes]
    return [cv2.imencode(".jpg", image)[1].tobytes() for image in images]


if __name__ == "__main__":
    command_line.run(main)
