r"""Trains what a gin file describes: a search for an architecture, or the network it found.

  python -m auto_deeplab.train --gin_file=search.gin
  python -m auto_deeplab.train --gin_file=retrain.gin \
      --gin_param="Retrain.genotype='runs/search/genotype.json'"

Gin files are looked up as given and in gin_configs/; --gin_param replaces single values and may be
repeated. Checkpoints, logs, metrics and, after a search, genotype.json are written to --model_dir.
The same command continues an interrupted training, and ends at once when it is done. SIGTERM saves
after the present step and ends with status 75: run the same command again.

Several GPUs, hosts or TPU cores divide each batch:

  python -m auto_deeplab.train --gin_file=search_cityscapes.gin --distribution=mirrored \
      --gin_param="Search.batch_size = 16"

The number of them may change from one run of the command to the next.
"""

import contextlib
from pathlib import Path

from auto_deeplab import command_line
from auto_deeplab.command_line import distribution_flags, gin_flags

_GIN_FILE = command_line.define_path(
    "gin_file", None, "The configuration, such as search.gin.", required=True
)
_gin_parameters = gin_flags.define_flags()
_MODEL_DIR = command_line.define_path(
    "model_dir", None, "Where results go; runs/NAME for NAME.gin by default."
)
_distribution = distribution_flags.define_flags()


def main(argv: list[str]) -> None:
    del argv
    # Before TensorFlow, which takes seconds: a mistyped file name should not.
    from auto_deeplab.foundations import gin_files

    gin_file = gin_files.find(_GIN_FILE.value)
    distribution = _distribution()
    from auto_deeplab.distribution.strategy import make_strategy
    from auto_deeplab.distribution.workers import Workers, ending_with_lost_workers
    from auto_deeplab.runs.model_dir import ModelDir
    from auto_deeplab.training.job import configured_job
    from auto_deeplab.training.runtime import configure_runtime

    gin_files.load(gin_file, _gin_parameters())
    configure_runtime()
    model_dir = ModelDir(Path(_MODEL_DIR.value or Path("runs") / Path(gin_file).stem))
    with gin_files.explaining_calls():
        job = configured_job()
        with (
            model_dir.locked() if distribution.is_chief else contextlib.nullcontext(),
            ending_with_lost_workers(distribution.cluster),
        ):
            strategy = make_strategy(distribution)
            job.train(model_dir, strategy)
            # Nobody leaves before everything is written: the others would miss it.
            Workers(strategy).wait()
    print(f"done: results are in {model_dir.path}")


if __name__ == "__main__":
    command_line.run(main)
