"""Loads the signature image_bytes with concurrent clients: throughput, latencies, memory.

Clients are threads that send JPEG files of many sizes, one request after the other, to a SavedModel
in this process: what a server does without its network. The resident memory is told for each tenth
of the run, as a median. In the first half it may settle: memory grew if the last tenth has over 1%
more than the sixth.

Example:
  python -m benchmarks.serving_load --saved_model=exported/street_scenes --minutes=10
  python -m benchmarks.serving_load --saved_model=exported/street_scenes --clients=8 --json
"""

import json
import statistics
import threading
import time
from typing import Any

from absl import flags

from auto_deeplab import command_line
from benchmarks.measuring.peak_memory import memory_over_time, peak_megabytes

_SAVED_MODEL = command_line.define_path(
    "saved_model", None, "NAME/VERSION, or NAME for its newest version.", required=True
)
_CLIENTS = flags.DEFINE_integer("clients", 4, "Threads that send requests.", lower_bound=1)
_FILES = flags.DEFINE_integer("files", 1, "Files in a request.", lower_bound=1)
_MINUTES = flags.DEFINE_float("minutes", 10, "How long.", lower_bound=0.05)
_LONGEST = flags.DEFINE_integer(
    "longest", 513, "Sides are drawn from half of this to this.", lower_bound=2
)
_JSON = flags.DEFINE_bool("json", False, "Print JSON instead of a table.")

_PARTS = 10
_DIFFERENT_FILES = 64


def main(argv: list[str]) -> None:
    del argv
    from auto_deeplab.serving.export.versions import find_version

    version = find_version(_SAVED_MODEL.value)

    import psutil
    import tensorflow as tf
    from tqdm import tqdm

    loaded = tf.saved_model.load(str(version))
    serve = loaded.signatures["image_bytes"]
    files = _files(_LONGEST.value)
    serve(image_bytes=tf.constant(files[: _FILES.value]))

    total = 60 * _MINUTES.value
    latencies: list[list[float]] = [[] for _ in range(_CLIENTS.value)]
    errors: list[Exception] = []
    resident: list[list[float]] = [[] for _ in range(_PARTS)]
    started = time.perf_counter()

    def elapsed() -> float:
        return time.perf_counter() - started

    def send(client: int) -> None:
        number = client
        try:
            while elapsed() < total and not errors:
                request = [files[(number + k) % len(files)] for k in range(_FILES.value)]
                before = time.perf_counter()
                serve(image_bytes=tf.constant(request))["class_map"].numpy()
                latencies[client].append(time.perf_counter() - before)
                # A step that visits all files in an order of the client's own.
                number += 2 * client + 1
        except Exception as error:
            errors.append(error)

    clients = [threading.Thread(target=send, args=(client,)) for client in range(_CLIENTS.value)]
    for client in clients:
        client.start()
    process = psutil.Process()
    with tqdm(total=round(total), unit="s", desc="load", disable=None) as bar:
        while any(client.is_alive() for client in clients):
            part = min(int(elapsed() / total * _PARTS), _PARTS - 1)
            resident[part].append(process.memory_info().rss / 1e6)
            bar.update(min(round(elapsed()), bar.total) - bar.n)
            time.sleep(min(0.5, total / _PARTS / 4))
    if errors:
        raise errors[0]
    seconds = elapsed()
    report = _report([latency for of_client in latencies for latency in of_client], seconds)
    report |= memory_over_time([statistics.median(part) for part in resident if part])
    if _JSON.value:
        print(json.dumps(report, indent=1))
    else:
        _print(report)


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
        "peak_megabytes": peak_megabytes(),
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
