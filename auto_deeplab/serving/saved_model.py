"""Networks as SavedModels: uint8 images in, class maps out, all in one graph."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf
import tf_keras

from auto_deeplab.data.augmentation import normalize_image
from auto_deeplab.data.description import DatasetDescription
from auto_deeplab.errors import UserError
from auto_deeplab.models.folding import folded
from auto_deeplab.search_space import Genotype

ClassMaps = Callable[[np.ndarray], np.ndarray]
"""Maps uint8 images [batch, height, width, 3] to int32 class maps [batch, height, width]."""


class ServingModule(tf.Module):
    """What an exported SavedModel holds.

    It is one function, in which batch norm is part of the convolutions (see `models.folding`). It
    tracks the function's variables and no Keras layers, so that the SavedModel needs nothing but
    TensorFlow to load.

    Args:
      model: maps normalized images `[batch, height, width, 3]` to logits `[batch, height, width,
        classes]`.
      assets: files to carry along.
    """

    def __init__(self, model: tf_keras.Model, assets: tuple[Path, ...] = ()) -> None:
        super().__init__(name="auto_deeplab")
        inference = folded(model)
        self._assets = [tf.saved_model.Asset(str(path)) for path in assets]

        @tf.function(
            input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8, name="images")],
            autograph=False,
        )
        def serve(images: tf.Tensor) -> dict[str, tf.Tensor]:
            logits = inference(normalize_image(images))
            return {"class_map": tf.argmax(logits, axis=-1, output_type=tf.int32)}

        self.serve = serve
        self._weights = list(serve.get_concrete_function().graph.variables)


def class_maps_of_model(model: tf_keras.Model) -> ClassMaps:
    """Returns the function that an export of the model would serve, without exporting it."""
    return _class_maps(ServingModule(model).serve)


def class_maps_of_saved_model(version_dir: Path) -> ClassMaps:
    """Loads an exported network; `find_version` gives its folder.

    Raises:
      UserError: the folder holds no SavedModel that an export wrote.
    """
    try:
        loaded = tf.saved_model.load(str(version_dir))
    except (OSError, ValueError, tf.errors.OpError) as error:
        raise UserError(f"{version_dir}: cannot be loaded as a SavedModel: {error}") from error
    signature = getattr(loaded, "signatures", {}).get("serving_default")
    outputs = signature.structured_outputs if signature is not None else {}
    if "class_map" not in outputs:
        raise UserError(
            f"{version_dir}: signature serving_default: expected an output class_map, "
            f"received {sorted(outputs)}; expected what auto_deeplab.export writes"
        )

    # The variables live as long as the object that load() returned: the function holds on to it.
    return _class_maps(lambda images: loaded.signatures["serving_default"](images=images))


def _class_maps(serve: Callable[[tf.Tensor], dict[str, tf.Tensor]]) -> ClassMaps:
    return lambda images: serve(tf.constant(images, tf.uint8))["class_map"].numpy()


def load_description(version_dir: Path) -> DatasetDescription:
    """Reads the classes and colors that an exported network carries."""
    return DatasetDescription.load(version_dir / "assets")


def find_version(saved_model: str | os.PathLike) -> Path:
    """Returns the SavedModel folder for NAME/VERSION, or for NAME with its newest version.

    Raises:
      UserError: there is none.
    """
    folder = Path(saved_model)
    if (folder / "saved_model.pb").is_file():
        return folder
    versions = _versions(folder)
    if not versions:
        raise UserError(
            f"{folder}: expected a SavedModel (saved_model.pb), or a folder of numbered versions "
            "as auto_deeplab.export writes them"
        )
    return folder / str(versions[-1])


def export_saved_model(
    model: tf_keras.Model,
    description: DatasetDescription,
    genotype: Genotype | None,
    output: str | os.PathLike,
) -> Path:
    """Writes a network as the next version in a folder, as TensorFlow Serving expects it.

    The version folder appears whole or not at all, and none that exists is touched. The signature
    `serving_default` takes `images`, uint8 `[batch, height, width, 3]` of any size, and returns
    `class_map`, int32 `[batch, height, width]`. Its `assets` are dataset.json (class names,
    colors) and, where there is one, genotype.json.

    Args:
      model: maps normalized images to logits at the images' size.
      description: of the classes.
      genotype: of the network, or None.
      output: the folder of versions; made if need be.

    Returns:
      The folder of the new version.
    """
    output = Path(output)
    if (output / "saved_model.pb").exists():
        raise UserError(
            f"--output={output} is a SavedModel itself; expected a folder of numbered versions"
        )
    try:
        output.mkdir(parents=True, exist_ok=True)
        # TensorFlow Serving looks at numbers only, so it never sees an unfinished folder.
        with tempfile.TemporaryDirectory(dir=output, prefix=".incomplete-") as work:
            assets = Path(work, "assets")
            assets.mkdir()
            description.save(assets)
            if genotype is not None:
                genotype.save(assets / "genotype.json")
            module = ServingModule(model, tuple(sorted(assets.iterdir())))
            written = Path(work, "saved_model")
            tf.saved_model.save(module, str(written), signatures={"serving_default": module.serve})
            return _move_to_next_version(written, output)
    except OSError as error:
        raise UserError(f"--output={output}: cannot be written: {error.strerror}") from error


def _move_to_next_version(written: Path, output: Path) -> Path:
    while True:
        version = output / str(max(_versions(output), default=0) + 1)
        try:
            os.rename(written, version)
            return version
        except OSError:
            # Another export took this number in between; a full folder is never replaced.
            if not version.exists():
                raise


def _versions(folder: Path) -> list[int]:
    """Returns the numbers of the versions in a folder, ascending."""
    if not folder.is_dir():
        return []
    return sorted(int(path.name) for path in folder.iterdir() if path.name.isdecimal())
