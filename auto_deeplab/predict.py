r"""Shows what a network sees in images and videos: writes overlays with a legend, or class maps.

Takes a trained model (--model_dir) or an exported one (--saved_model, --tflite, --onnx, or
--openvino for a SavedModel in that engine), and a file, a folder with its subfolders, or a quoted
glob of images and videos of any size. Images are turned as their EXIF orientation says. Files that
cannot be read are listed at the end.

Of an image come NAME_overlay.png and NAME_classes.png, whose pixel values are class numbers; of a
video NAME_overlay.mp4 without sound, NAME_legend.png and a folder NAME_classes with a PNG a frame.
Files that have their results already are skipped, so an interrupted run can be repeated. In a video
that was interrupted the frames that have class maps are not predicted again.

Example:
  python -m auto_deeplab.predict --model_dir=runs/retrain --images=photos --output=predictions
  python -m auto_deeplab.predict --saved_model=exported/street_scenes \
      --images='photos/**/*.jpg' --output=predictions --results=both --batch_size=4
  python -m auto_deeplab.predict --onnx=exported/street_scenes.onnx --images=drive.mp4 \
      --output=predictions
"""

from absl import flags

from auto_deeplab import command_line
from auto_deeplab.command_line import export_flags, prediction_flags
from auto_deeplab.foundations.errors import UserError

flags.adopt_module_key_flags(export_flags)
flags.adopt_module_key_flags(prediction_flags)
_MODEL_DIR = command_line.define_path("model_dir", None, "The folder that training wrote.")
_CHECKPOINT = command_line.define_checkpoint_flag()
_BATCH_SIZE = flags.DEFINE_integer(
    "batch_size",
    1,
    "The most images that are predicted at once: such as follow each other and have one size.",
    lower_bound=1,
)


def main(argv: list[str]) -> None:
    del argv
    export = export_flags.given_export()
    if bool(_MODEL_DIR.value) == bool(export):
        raise UserError(
            f"received {'two networks' if export else 'no network'}; expected either --model_dir "
            "or an exported one, such as --saved_model"
        )

    files = prediction_flags.given_files()
    if export:
        from auto_deeplab.serving.engines.load import load_exported

        _, class_maps, description = load_exported(*export)
    else:
        from auto_deeplab.serving.engines.saved_model import class_maps_of_model
        from auto_deeplab.training.trained import load_trained

        trained = load_trained(_MODEL_DIR.value, _CHECKPOINT.value)
        class_maps, description = class_maps_of_model(trained.model), trained.description
    prediction_flags.predict(files, class_maps, description, _BATCH_SIZE.value)


if __name__ == "__main__":
    command_line.run(main)
