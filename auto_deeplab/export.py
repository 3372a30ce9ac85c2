"""Writes a trained network as a SavedModel: uint8 images in, class maps out.

Writes OUTPUT/VERSION/, the layout of TensorFlow Serving, with the next free number as the version;
earlier versions stay. Normalization, resizing and the choice of the class are inside the graph, at
any image size, so whoever loads it needs TensorFlow and nothing of this package:

  model = tf.saved_model.load("exported/street_scenes/1")
  class_map = model.signatures["serving_default"](images=images)["class_map"]

`images` is uint8 [batch, height, width, 3], `class_map` int32 [batch, height, width]. The class
names and colors lie in OUTPUT/VERSION/assets/dataset.json.

Example:
  python -m auto_deeplab.export --model_dir=runs/retrain --output=exported/street_scenes
"""

from absl import flags

from auto_deeplab import command_line

_MODEL_DIR = flags.DEFINE_string(
    "model_dir", None, "The folder that training wrote.", required=True
)
_CHECKPOINT = command_line.define_checkpoint_flag()
_OUTPUT = flags.DEFINE_string(
    "output", None, "The folder that receives the new version.", required=True
)


def main(argv: list[str]) -> None:
    del argv
    from auto_deeplab.serving.saved_model import export_saved_model
    from auto_deeplab.training.trained import load_trained

    trained = load_trained(_MODEL_DIR.value, _CHECKPOINT.value)
    version = export_saved_model(
        trained.model, trained.description, trained.genotype, _OUTPUT.value
    )
    size = sum(path.stat().st_size for path in version.rglob("*") if path.is_file())
    print(f"exported step {trained.step} of {_MODEL_DIR.value} to {version} ({size / 1e6:.1f} MB)")


if __name__ == "__main__":
    command_line.run(main)
