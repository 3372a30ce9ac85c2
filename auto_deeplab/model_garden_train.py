r"""Trains Auto-DeepLab with TF Model Garden's trainer, official.vision.train.

It is that trainer with this project's backbone and experiments registered: auto_deeplab_cityscapes,
auto_deeplab_pascal and auto_deeplab_ade20k. All of its own experiments and flags are there too.
The experiments read TFRecords of tools/convert_*.py. docs/model_garden.md says how what it
computes differs from python -m auto_deeplab.train.

Example:
  python -m auto_deeplab.model_garden_train --experiment=auto_deeplab_cityscapes \
      --mode=train_and_eval --model_dir=runs/model_garden \
      --params_override="task.train_data.input_path=datasets/cityscapes/train-*.tfrecord"
"""

from absl import flags, logging
from official.common import flags as model_garden_flags

from auto_deeplab import command_line
from auto_deeplab.foundations.errors import UserError

model_garden_flags.define_flags()
flags.mark_flags_as_required(["experiment", "mode", "model_dir"])
for _name in ("model_dir", "config_file", "gin_file"):
    flags.FLAGS[_name].parser = command_line.PathParser()


def main(argv: list[str]) -> None:
    from official.vision import train

    from auto_deeplab.model_garden import experiments  # noqa: F401

    if not flags.FLAGS["verbosity"].present:
        # The trainer's progress is in its log.
        logging.set_verbosity(logging.INFO)
    _check_configuration()
    train.main(argv)


def _check_configuration() -> None:
    """Reads the configuration as the trainer will.

    Raises:
        UserError: Model Garden or gin do not take it.
    """
    import gin
    from official.core import train_utils

    given = flags.FLAGS
    names = [
        name
        for name in ("experiment", "config_file", "params_override", "gin_file", "gin_params")
        if given[name].value
    ]
    try:
        gin.parse_config_files_and_bindings(given.gin_file, given.gin_params, False)
        train_utils.parse_configuration(given, print_return=False)
    except UserError:
        raise
    except Exception as error:
        raise UserError(
            f"{', '.join(f'--{name}' for name in names)}: received what Model Garden's trainer "
            f"refuses; expected what it takes; it says: {' '.join(str(error).split())}"
        ) from error
    # The trainer reads it once more.
    gin.clear_config()


if __name__ == "__main__":
    command_line.run(main)
