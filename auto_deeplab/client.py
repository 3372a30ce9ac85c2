r"""Sends images and videos to a TensorFlow Serving server and writes overlays with a legend.

REST (--server=http://HOST:8501) or gRPC (--server=grpc://HOST:8500); https and grpcs with
encryption. Images of any format, and frames, are turned upright and sent as PNG. The results are
those of auto_deeplab.predict. Files that have them already are skipped, so an interrupted run can
be repeated; those that cannot be read, or that the server refuses, are listed at the end.

Example:
  python -m auto_deeplab.client --server=http://localhost:8501 --model=street_scenes \
      --labels=exported/street_scenes --images=photos --output=predictions
"""

from pathlib import Path

from absl import flags

from auto_deeplab import command_line
from auto_deeplab.command_line import prediction_flags

flags.adopt_module_key_flags(prediction_flags)
_SERVER = flags.DEFINE_string("server", None, "http://HOST:PORT or grpc://HOST:PORT", required=True)
_MODEL = flags.DEFINE_string("model", None, "The model's name on the server.", required=True)
_LABELS = command_line.define_path(
    "labels",
    None,
    "What knows the classes' names and colors: the model's folder as export wrote it, or a folder "
    "with its dataset.json.",
    required=True,
)
_TIMEOUT = flags.DEFINE_float(
    "timeout", 60.0, "Seconds to wait for the answer to an image.", lower_bound=0.001
)


def main(argv: list[str]) -> None:
    del argv
    files = prediction_flags.given_files()

    from auto_deeplab.data import description
    from auto_deeplab.serving.engines.server import class_maps_of_server
    from auto_deeplab.serving.export.assets import load_description
    from auto_deeplab.serving.export.versions import find_version

    labels = Path(_LABELS.value)
    if (labels / description.FILE_NAME).is_file():
        classes = description.DatasetDescription.load(labels)
    else:
        classes = load_description(find_version(labels))
    class_maps = class_maps_of_server(
        _SERVER.value, _MODEL.value, _TIMEOUT.value, len(classes.classes)
    )
    prediction_flags.predict(files, class_maps, classes)


if __name__ == "__main__":
    command_line.run(main)
