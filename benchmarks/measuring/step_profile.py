"""Where the time of a step goes: TensorFlow's profiler beside the shapes of the graph."""

import collections
import glob
import re
import tempfile
import time
from collections.abc import Callable
from typing import Any

# oneDNN's kernels go by names of their own.
ONEDNN_PREFIX = "_MklNative"
STRIDE = re.compile(r"stride(\d+)_arcs")


def record(run: Callable, steps: int) -> tuple[dict[tuple[str, str], list[int]], float]:
    """Profiles `steps` runs.

    Returns:
        (operation's name, type) -> the picoseconds of each time it ran; and the seconds of a run.
    """
    import tensorflow as tf
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    events = collections.defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        tf.profiler.experimental.start(folder)
        started = time.perf_counter()
        for _ in range(steps):
            run()
        seconds = (time.perf_counter() - started) / steps
        tf.profiler.experimental.stop()
        for path in glob.glob(f"{folder}/**/*.xplane.pb", recursive=True):
            space = xplane_pb2.XSpace()
            with open(path, "rb") as file:
                space.ParseFromString(file.read())
            for plane in space.planes:
                for line in plane.lines:
                    for event in line.events:
                        name = plane.event_metadata[event.metadata_id].name
                        name, _, kind = name.rpartition(":")
                        if name and " " not in kind:
                            kind = kind.removeprefix(ONEDNN_PREFIX)
                            events[name, kind].append(event.duration_ps)
    return dict(events), seconds


def account(
    events: dict[tuple[str, str], list[int]], concrete_function, steps: int
) -> list[dict[str, Any]]:
    """Sums events by operation type and stride, the longest first.

    Returns:
        For each type and stride (None outside the trellis), a step's calls, thread seconds,
        multiply-adds and bytes. Where an operation's shape is not known before it runs, its
        multiply-adds and bytes are missing in the sums.
    """
    from benchmarks.measuring import graph_work

    works = graph_work.works(concrete_function.graph.as_graph_def(add_shapes=True))
    rows: dict[tuple[str, int | None], dict[str, float]] = collections.defaultdict(
        lambda: {"calls": 0, "seconds": 0.0, "macs": 0, "bytes": 0}
    )
    for (name, kind), durations in events.items():
        work = works.get((name, kind))
        if work is None:
            continue
        stride = STRIDE.search(name)
        row = rows[kind, int(stride[1]) if stride else None]
        row["calls"] += len(durations) / steps
        row["seconds"] += sum(durations) / 1e12 / steps
        row["macs"] += work.multiply_adds * len(durations) / steps
        row["bytes"] += work.bytes * len(durations) / steps
    return sorted(
        ({"op": kind, "stride": stride, **row} for (kind, stride), row in rows.items()),
        key=lambda row: -row["seconds"],
    )


def machine_rates() -> dict[str, float]:
    """Measures one thread's best: float32 matrix multiplication and copying of memory.

    Returns:
        "matmul_gmacs": 1e9 multiply-adds a second of a 1536x1536 product; "memcpy_gbytes": 1e9
        bytes, read and written ones counted, a second of copying 256 MB.
    """
    import numpy as np
    import tensorflow as tf

    size = 1536
    matrix = tf.random.normal([size, size])
    product = tf.function(tf.linalg.matmul)
    source, target = np.ones(32_000_000), np.zeros(32_000_000)

    def best(run: Callable) -> float:
        seconds = []
        for _ in range(7):
            started = time.perf_counter()
            run()
            seconds.append(time.perf_counter() - started)
        return min(seconds)

    return {
        "matmul_gmacs": size**3 / best(lambda: product(matrix, matrix).numpy()) / 1e9,
        "memcpy_gbytes": 2 * source.nbytes / best(lambda: np.copyto(target, source)) / 1e9,
    }
