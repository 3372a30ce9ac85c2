"""Searches several times, each time from another seed: one search tells nothing of the spread.

  python -m auto_deeplab.trials --gin_file=search.gin --seeds=0,1,2
  python -m auto_deeplab.report runs/search_trials

Each trial is what `python -m auto_deeplab.train` does with Search.seed replaced, in a folder of its
own: MODEL_DIR/seed_0 and so on. They run one after the other. The same command continues an
interrupted trial and leaves finished ones alone, so further seeds can be added later. SIGTERM is
passed on to the trial that runs, which saves, and both end with status 75.
"""

import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from absl import flags

from auto_deeplab import command_line
from auto_deeplab.command_line import distribution_flags, gin_flags
from auto_deeplab.foundations.errors import TRY_AGAIN_STATUS, UserError

_GIN_FILE = command_line.define_path(
    "gin_file", None, "The configuration of the searches, such as search.gin.", required=True
)
_SEEDS = flags.DEFINE_list("seeds", ["0", "1", "2"], "The seed of each trial.")
_gin_parameters = gin_flags.define_flags()
_MODEL_DIR = command_line.define_path(
    "model_dir", None, "The folder of the trials' folders; runs/NAME_trials for NAME.gin."
)
_distribution = distribution_flags.define_flags()


def main(argv: list[str]) -> None:
    del argv
    from auto_deeplab.foundations import gin_files

    gin_file = gin_files.find(_GIN_FILE.value)
    distribution = _distribution()
    seeds = _checked_seeds(_SEEDS.value)
    parameters = _gin_parameters()
    for parameter in parameters:
        for binding in gin_files.read_bindings(parameter, f"--gin_param={parameter}"):
            configurable = binding.configurable.rpartition(".")[2]
            if (configurable, binding.parameter) == ("Search", "seed"):
                raise UserError(
                    f"--gin_param: received {parameter!r}; expected the seeds in --seeds"
                )
    trials = Path(_MODEL_DIR.value or Path("runs") / f"{Path(gin_file).stem}_trials")
    for number, seed in enumerate(seeds, start=1):
        folder = trials / f"seed_{seed}"
        print(f"trial {number} of {len(seeds)}: seed {seed}, in {folder}", flush=True)
        # A process each: what TensorFlow keeps for one search must not reach the next.
        status = call(
            [
                *(sys.executable, "-m", "auto_deeplab.train", f"--gin_file={gin_file}"),
                *(f"--gin_param={parameter}" for parameter in parameters),
                *(f"--gin_param=Search.seed = {seed}", f"--model_dir={folder}"),
                *distribution_flags.flags_of(distribution),
            ]
        )
        if status == TRY_AGAIN_STATUS:
            sys.exit(TRY_AGAIN_STATUS)
        if status:
            raise UserError(
                f"the trial of seed {seed} ended with status {status}: its message is above. "
                "The same command goes on with it"
            )
    print(f"done: python -m auto_deeplab.report {trials} compares the trials")


def call(command: Sequence[str]) -> int:
    """Runs a command, to which SIGTERM is passed on; returns its exit status."""
    with subprocess.Popen(command) as process:
        before = signal.signal(signal.SIGTERM, lambda *_: process.terminate())
        try:
            return process.wait()
        finally:
            signal.signal(signal.SIGTERM, before)


def _checked_seeds(texts: list[str]) -> list[int]:
    """Returns the seeds as numbers, in the order given."""
    try:
        seeds = [int(text) for text in texts]
    except ValueError:
        seeds = []
    if not seeds or min(seeds) < 0 or len(set(seeds)) < len(seeds):
        raise UserError(
            f"--seeds: received {','.join(texts)!r}; expected different whole numbers >= 0, such "
            "as 0,1,2"
        )
    return seeds


if __name__ == "__main__":
    command_line.run(main)
