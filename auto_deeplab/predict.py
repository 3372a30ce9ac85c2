"""Shows what a network sees in images: writes overlays with a legend.

Takes a trained model (--model_dir) or an exported one (--saved_model: OUTPUT/VERSION, or OUTPUT
for its newest version), and a file, a folder with its subfolders, or a quoted glob of images of
any size. Images that have their results already are skipped, so an interrupted run can be
repeated. Files that cannot be read are listed at the end.

Example:
  python -m auto_deeplab.predict --model_dir=runs/retrain --images=photos --output=predictions
  python -m auto_deeplab.predict --saved_model=exported/street_scenes \\
      --images='photos/**/*.jpg' --output=predictions --class_maps
"""

from absl import flags

from auto_deeplab import command_line
from auto_deeplab.errors import UserError

_MODEL_DIR = flags.DEFINE_string("model_dir", None, "The folder that training wrote.")
_CHECKPOINT = command_line.define_checkpoint_flag()
_SAVED_MODEL = flags.DEFINE_string("saved_model", None, "The folder that export wrote.")
_IMAGES = flags.DEFINE_string(
    "images", None, "An image file, a folder of images, or a glob in quotes.", required=True
)
_OUTPUT = flags.DEFINE_string("output", None, "The folder for the results.", required=True)
_CLASS_MAPS = flags.DEFINE_bool(
    "class_maps", False, "Also write NAME_classes.png, whose pixel values are class numbers."
)
_OPACITY = flags.DEFINE_float(
    "opacity", 0.6, "How much the colors cover the image.", lower_bound=0.0, upper_bound=1.0
)
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Predict again what has results already.")


def main(argv: list[str]) -> None:
    del argv
    if bool(_MODEL_DIR.value) == bool(_SAVED_MODEL.value):
        raise UserError("expected either --model_dir or --saved_model")

    from auto_deeplab.serving.image_files import find_images

    images = find_images(_IMAGES.value, outside=_OUTPUT.value)

    from auto_deeplab.serving import saved_model
    from auto_deeplab.serving.prediction import predict_images

    if _MODEL_DIR.value:
        from auto_deeplab.training.trained import load_trained

        trained = load_trained(_MODEL_DIR.value, _CHECKPOINT.value)
        class_maps = saved_model.class_maps_of_model(trained.model)
        description = trained.description
    else:
        version = saved_model.find_version(_SAVED_MODEL.value)
        class_maps = saved_model.class_maps_of_saved_model(version)
        description = saved_model.load_description(version)
    summary = predict_images(
        class_maps,
        description,
        images,
        _OUTPUT.value,
        with_class_maps=_CLASS_MAPS.value,
        overwrite=_OVERWRITE.value,
        opacity=_OPACITY.value,
    )
    print(f"{summary.written} predicted, {summary.skipped} done before: {_OUTPUT.value}")
    if summary.problems:
        raise UserError(
            f"{len(summary.problems)} of {len(images)} images could not be read:\n  "
            + "\n  ".join(summary.problems)
        )


if __name__ == "__main__":
    command_line.run(main)
