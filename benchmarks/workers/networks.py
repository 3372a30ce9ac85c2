"""The networks that are measured, initialized at random: their speed is that of trained ones."""

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tensorflow as tf
    import tf_keras

CLASSES = 19

# The filters of the published networks; None is the baseline.
MODELS = {"S": 20, "M": 32, "L": 48, "deeplabv3plus": None}


def build(name: str) -> "tf_keras.Model":
    """Returns one of `MODELS`."""
    from auto_deeplab.models.deeplabv3plus import build_deeplabv3plus

    filters = MODELS[name]
    return build_deeplabv3plus(CLASSES) if filters is None else build_found("published", filters)


def build_found(genotype: str, filters: int) -> "tf_keras.Model":
    """Returns the network of an architecture.

    Args:
        genotype: The architecture: a name or a file.
        filters: F, the network's width.
    """
    from auto_deeplab.models.final.network import build_network
    from auto_deeplab.search_space import Genotype

    return build_network(Genotype.load(genotype), CLASSES, filters=filters)


def make_predict(model: "tf_keras.Model", setting: str) -> "Callable[[tf.Tensor], tf.Tensor]":
    """Returns a function from images to class maps, which is what an exported network computes.

    Args:
        model: Maps normalized images to logits.
        setting: "plain" for the layers as they were trained, "folded" for what export writes, "xla"
            for that compiled by XLA.

    Returns:
        uint8 `[batch, height, width, 3]` -> int32 `[batch, height, width]`.
    """
    import tensorflow as tf

    from auto_deeplab.data.augmentation import normalize_image
    from auto_deeplab.models.folding import folded

    inference = model if setting == "plain" else folded(model)

    def predict(images: tf.Tensor) -> tf.Tensor:
        return tf.argmax(inference(normalize_image(images)), axis=-1, output_type=tf.int32)

    return tf.function(predict, autograph=False, jit_compile=setting == "xla")
