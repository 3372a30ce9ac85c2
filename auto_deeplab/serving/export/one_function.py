"""What the formats that put a network into one file have in common."""

import dataclasses
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf
import tf_keras

from auto_deeplab.data.description import Color, DatasetDescription
from auto_deeplab.foundations.errors import UserError, argument
from auto_deeplab.search_space import Genotype
from auto_deeplab.serving.export.assets import write_assets
from auto_deeplab.serving.export.options import ExportOptions
from auto_deeplab.serving.export.predictor import Predictor
from auto_deeplab.serving.export.signatures import inference_function


class OneFunction(tf.Module):
    """A network as one function, without what only servers need: checks and decoders.

    With `options.input_size` the function takes one image of that very size: engines for small
    devices want to know every shape beforehand, and have no resizing with antialiasing.

    Args:
        model: Maps normalized images `[batch, height, width, 3]` to logits.
        palette: The color of each class.
        options: What is asked for.

    Attributes:
        serve: Maps `images`, uint8 `[batch, height, width, 3]`, to the outputs by name.
        images: The specification of its argument.
    """

    def __init__(
        self, model: tf_keras.Model, palette: Sequence[Color], options: ExportOptions
    ) -> None:
        super().__init__(name="auto_deeplab")
        size = options.input_size
        shape = [None, None, None, 3] if size is None else [1, *size, 3]
        self.images = tf.TensorSpec(shape, tf.uint8, "images")
        at_own_size = dataclasses.replace(options, input_size=None)
        predictor = Predictor(inference_function(model, at_own_size), palette, at_own_size)
        self.serve = tf.function(predictor, input_signature=[self.images], autograph=False)
        # What is saved has to be tracked.
        self._weights = list(self.serve.get_concrete_function().graph.variables)


def asset_texts(
    description: DatasetDescription,
    genotype: Genotype | None,
    options: ExportOptions,
    metrics: dict[str, Any] | None,
) -> dict[str, str]:
    """Returns what `assets.write_assets` writes, by file name."""
    with tempfile.TemporaryDirectory() as folder:
        files = write_assets(Path(folder), description, genotype, options, metrics)
        return {file.name: file.read_text(encoding="utf-8") for file in files}


def check_free(output: str | os.PathLike) -> None:
    """Raises a `UserError` where the file exists: exports are never replaced."""
    if os.path.lexists(output):
        raise UserError(f"{argument('output', output)}: exists; expected the name of a new file")
