"""Runs benchmarks.workers.search_step in fresh processes, once or along the axes of a sweep."""

import json
import subprocess
import sys
from typing import Any

from auto_deeplab.foundations.errors import UserError

# What --sweep varies, one at a time; everything else stays as the flags say.
SWEEP = {
    "layers": (4, 8, 12, 16),
    "crop": (161, 321, 513),
    "batch": (1, 2, 4),
    "filters": (4, 8, 16),
}
# What should be linear in the quantity that the sweep varies, and in which power of it.
POWERS = {"layers": 1, "crop": 2, "batch": 1, "filters": 1}
MEASURED = {
    "weights_step_seconds": "weights step s",
    "arch_step_seconds": "arch step s",
    "inference_step_seconds": "inference s",
    "trace_seconds": "tracing s",
    "first_step_seconds": "first step s",
    "both_built_seconds": "both built s",
    "peak_rss_mb": "peak MB",
    "graph_ops": "graph ops",
    "parameters": "parameters",
}


def run_worker(task: str, **arguments) -> dict[str, Any]:
    """Runs a task of benchmarks.workers.search_step in a fresh process; returns what it tells."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.workers.search_step", task, json.dumps(arguments)],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        reason = done.stderr.strip().splitlines() or ["out of memory? Try a smaller setting"]
        raise UserError(f"benchmarks.workers.search_step, status {done.returncode}: {reason[-1]}")
    return json.loads(done.stdout.splitlines()[-1])


def fit(xs: list[float], ys: list[float]) -> dict[str, float]:
    """Fits a line: "slope", "at_zero", and "largest_deviation" as a share of the largest y."""
    import numpy as np

    slope, at_zero = np.polyfit(xs, ys, 1)
    deviations = np.abs(np.polyval([slope, at_zero], xs) - ys)
    return {
        "slope": float(slope),
        "at_zero": float(at_zero),
        "largest_deviation": float(deviations.max() / max(ys)),
    }


def sweep(setting: dict[str, int], common: dict[str, Any]) -> list[dict[str, Any]]:
    """Measures along each axis of `SWEEP`; returns a dict with rows and fits for each."""
    from tqdm import tqdm

    measured: dict[tuple, dict[str, Any]] = {}
    results = []
    with tqdm(total=sum(map(len, SWEEP.values())), desc="sweep", unit="setting") as bar:
        for axis, values in SWEEP.items():
            rows = []
            for value in values:
                at = setting | {axis: value}
                key = tuple(at.values())
                # The axes cross at one setting.
                if key not in measured:
                    measured[key] = run_worker("measure", setting=at, **common)
                rows.append(measured[key])
                bar.update()
            xs = [float(value ** POWERS[axis]) for value in values]
            fits = {name: fit(xs, [row[name] for row in rows]) for name in MEASURED}
            results.append({"axis": axis, "power": POWERS[axis], "rows": rows, "fits": fits})
    return results
