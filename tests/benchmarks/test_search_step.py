"""The benchmark of the search's step as a user runs it, at a size that takes no time."""

import functools
import json

import pytest

from benchmarks.measuring import search_step_process
from tests.helpers import assert_user_error, run_command

TINY = ("--crop=33", "--layers=1", "--blocks=1", "--filters=4", "--classes=3", "--steps=1")


run = functools.partial(run_command, "benchmarks.search_step")


def test_both_updates_and_inference_are_measured():
    done = run(*TINY, "--json")
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    told = json.loads(line)
    for name in ("weights_step_seconds", "arch_step_seconds", "inference_step_seconds"):
        assert 0 < told[name] < told["first_step_seconds"]
    assert told["first_step_seconds"] < told["both_built_seconds"]
    assert 100 < told["rss_before_mb"] <= told["weights_peak_rss_mb"] <= told["peak_rss_mb"]
    assert told["graph_ops"] > told["arch_graph_ops"] > 100
    stem = 9 * (3 * 64 + 64 * 128)
    # Two nodes of one block and two edges, of which those from prev alone exist, F·s/4 filters.
    nodes = sum(
        size * 128 * filters + 2 * (9 + filters + 25 + filters) * filters + 34 * filters**2
        for size, filters in ((1, 4), (9, 8))
    )
    heads = sum(filters * filters * (1 + 9 + 1) + 3 * filters * 3 + 3 for filters in (4, 8))
    assert told["parameters"] == stem + nodes + heads + 2 * 8 + 2


def test_profile_counts_the_arithmetic():
    done = run(*TINY, "--profile=arch", "--gin_param=Supernet.recompute = 'cell'", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    rows = {(row["op"], row["stride"]): row for row in told["rows"]}
    assert told["matmul_gmacs"] > 0
    assert told["memcpy_gbytes"] > 0
    assert {stride for _, stride in rows} == {4, 8, None}
    # At stride 8 one arc and one edge: 8 filters, padded to 16. Evaluated again for the gradient.
    node = 9 * 128 * 8 + (9 + 9 + 25) * 8 * 16 + 3 * 16 * 16 + 3 * 8 * 16
    assert rows["Conv2D", 8]["macs"] == 2 * (2 * 5 * 5) * node
    assert rows["DepthwiseConv2dNative", 8]["calls"] == 2 * 3


def test_the_step_is_written_as_stablehlo_and_never_over_a_file(tmp_path):
    path = tmp_path / "step.stablehlo"
    flag = f"--export_stablehlo={path}"
    done = run(*TINY, flag)
    assert done.returncode == 0, done.stderr
    text = path.read_text()
    assert "stablehlo.convolution" in text
    assert "func.func" in text
    path.write_text("mine")
    done = run(*TINY, flag)
    assert done.returncode == 1
    assert f"{path} exists" in done.stderr
    assert path.read_text() == "mine"


def test_wrong_gin_values_are_user_errors():
    done = run(*TINY, "--gin_param=Supernet.recompute = 'cells'")
    assert_user_error(done, "Supernet.recompute: received 'cells'; did you mean cell?")


def test_sweep_fits_lines(monkeypatch):
    asked = []

    def worker(task, setting, **common):
        asked.append(tuple(setting.values()))
        value = 3.0 + 2.0 * setting["layers"] + 0.001 * setting["crop"] ** 2
        return setting | dict.fromkeys(search_step_process.MEASURED, value)

    monkeypatch.setattr(search_step_process, "run_worker", worker)
    setting = {"crop": 321, "batch": 2, "layers": 12, "filters": 8}
    results = search_step_process.sweep(setting, {})
    assert len(asked) == len(set(asked)), "a setting was measured twice"
    fits = {result["axis"]: result["fits"]["weights_step_seconds"] for result in results}
    assert fits["layers"]["slope"] == pytest.approx(2)
    assert fits["crop"]["slope"] == pytest.approx(0.001)
    assert fits["batch"]["slope"] == pytest.approx(0, abs=1e-9)
    assert fits["layers"]["at_zero"] == pytest.approx(3 + 0.001 * 321**2)
    assert all(fit["largest_deviation"] < 1e-9 for fit in fits.values())
    assert search_step_process.fit([1, 2, 3], [1, 4, 9])["largest_deviation"] > 0.05
