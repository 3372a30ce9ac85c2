"""Prepares TensorFlow Serving: checks exported networks and writes what the server needs.

Writes to OUTPUT/: model.config (which models there are), batching_parameters.txt, and serve.sh,
which starts the server with docker. Arguments of serve.sh are passed on to the server.

The newest version of each model is checked before: every file must be there and whole.

Networks that were exported with --input_size answer requests that arrive together in one run
(batching); others answer each image at its own size and gain nothing from it, so for them it is
left out. With batching an image that is refused fails all requests of its batch.

Example:
  python -m auto_deeplab.serve --saved_model=exported/street_scenes --output=serving
  serving/serve.sh
"""

import shlex
from pathlib import Path

from absl import flags

from auto_deeplab import command_line
from auto_deeplab.foundations.errors import UserError

_SAVED_MODEL = command_line.define_paths(
    "saved_model", None, "Folders that export wrote, with their versions.", required=True
)
_OUTPUT = command_line.define_path(
    "output", None, "The folder for the configuration.", required=True
)
_HOST = flags.DEFINE_string(
    "host", "127.0.0.1", "The address to be reached at; 0.0.0.0 lets other machines in."
)
_DOCKER_IMAGE = flags.DEFINE_string(
    "docker_image", "tensorflow/serving:2.20.0", "TensorFlow Serving's image."
)
_BATCHING = flags.DEFINE_bool(
    "batching", None, "Answer requests together; by default where all models have a fixed size."
)
_MAX_BATCH_SIZE = flags.DEFINE_integer(
    "max_batch_size", 4, "The most images that are answered together.", lower_bound=1
)
_BATCH_TIMEOUT = flags.DEFINE_integer(
    "batch_timeout_microseconds", 5000, "How long a request waits for others.", lower_bound=0
)
_BATCH_THREADS = flags.DEFINE_integer(
    "batch_threads", 2, "Batches that are computed at a time.", lower_bound=1
)
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Replace files that exist.")


def main(argv: list[str]) -> None:
    del argv
    if not _SAVED_MODEL.value:
        raise UserError("--saved_model: received nothing; expected at least one folder")

    from auto_deeplab.serving import model_server

    models = [model_server.check_model(Path(folder)) for folder in _SAVED_MODEL.value]
    batched = _BATCHING.value
    if batched is None:
        batched = all(model.fixed_size for model in models)
    batching = model_server.Batching(
        _MAX_BATCH_SIZE.value, _BATCH_TIMEOUT.value, _BATCH_THREADS.value
    )
    files = model_server.write_configuration(
        Path(_OUTPUT.value),
        models,
        batching if batched else None,
        _DOCKER_IMAGE.value,
        _HOST.value,
        _OVERWRITE.value,
    )
    for model in models:
        print(f"{model.name}: version {model.versions[-1]} of {model.path} is whole")
    print("written:", *files)
    print(f"start the server with: {shlex.quote(str(files[-1]))}")


if __name__ == "__main__":
    command_line.run(main)
