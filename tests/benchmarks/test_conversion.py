"""The conversion benchmark as a user runs it, at a size that takes no time."""

import json

from tests.helpers import run_command


def test_converter_and_bare_loop_take_turns():
    flags = ["--images=2", "--height=32", "--width=64", "--repeats=2", "--num_workers=1", "--json"]
    done = run_command("benchmarks.conversion", *flags)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["images"], result["size"], result["workers"]) == (2, [32, 64], 1)
    seconds = zip(result["bare_seconds"], result["converter_seconds"], strict=True)
    ratios = [converter / bare for bare, converter in seconds]
    assert len(ratios) == 2
    assert min(ratios) <= result["converter_over_bare"] <= max(ratios)
