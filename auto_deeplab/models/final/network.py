"""The final network: encoder, atrous spatial pyramid pooling, decoder (paper, section 5.2)."""

from typing import Annotated

import tensorflow as tf
import tf_keras
from annotated_types import Ge, Le, Lt

from auto_deeplab.foundations.configurable import (
    Decay,
    Pixels,
    Positive,
    Share,
    Size,
    configurable,
)
from auto_deeplab.foundations.errors import UserError
from auto_deeplab.models.final.decoder import decode
from auto_deeplab.models.final.encoder import encode
from auto_deeplab.models.final.initializers import InitializerName
from auto_deeplab.models.pixel_grid import PadToGrid
from auto_deeplab.search_space import STEM, Genotype


@configurable(denylist=["genotype", "classes"])
# There is nothing to convert, and converting the layers takes as long as building them.
@tf.autograph.experimental.do_not_convert
def build_network(
    genotype: Genotype,
    classes: int,
    filters: Annotated[int, Ge(1), Le(1024)] = 20,
    final_keep_prob: Share = 1.0,
    batch_norm_momentum: Decay = 0.9997,
    batch_norm_epsilon: Positive = 1e-3,
    synchronized_batch_norm: bool = False,
    input_size: Size | None = None,
    aspp_filters: Annotated[int, Ge(1), Le(1024)] = 256,
    decoder_filters: Annotated[int, Ge(1), Le(1024)] = 256,
    aspp_dropout: Annotated[float, Ge(0), Lt(1)] = 0.0,
    head_batch_norm_epsilon: Positive | None = None,
    backbone_initializer: InitializerName = "he_normal",
    head_initializer: InitializerName | None = None,
    image_pooling_window: Pixels | Size | None = None,
    stem_filters: Annotated[int, Ge(1), Le(1024)] = 64,
) -> tf_keras.Model:
    """Builds the network of a genotype.

    Maps normalized images, float32 `[batch, height, width, 3]`, to logits, float32 `[batch,
    height, width, classes]`, at any height and width; it fills images up to its pixel grid
    (`models/pixel_grid.py`). Its layers are named `stem`, `layer1` to `layerL`, `aspp`, `decoder`.

    Args:
        genotype: The path and the cell.
        classes: The number of classes.
        filters: F, the published networks' width: 20, 32 or 48.
        final_keep_prob: Of scheduled drop path; training advances the schedule with
            `drop_path.set_step_ratio`. 1 never drops.
        batch_norm_momentum: Of the moving statistics. The default is DeepLab's and suits 1.5M
            steps; a run of a few thousand needs a smaller one, or it is evaluated with its first
            statistics.
        batch_norm_epsilon: Added to the variance.
        synchronized_batch_norm: Whether replicas share batch statistics.
        input_size: (height, width) to fix, or None for any.
        aspp_filters: The channels of each of ASPP's branches. In a narrow network ASPP and decoder
            cost more than all cells; DeepLab's 256 suit filters of 20 and more.
        decoder_filters: The channels of the decoder's two 3x3 convolutions.
        aspp_dropout: The share of ASPP's output that is dropped in training; the authors' code has
            0.1. Off by default: it is a regularizer for trainings of many epochs, which short ones
            learn less with, and with it a call in training has to name its step (see
            `StatelessDropout`), which `Retrain` does and Keras' own `fit` does not.
        head_batch_norm_epsilon: Of ASPP and decoder, 1e-5 in the authors' code; None for
            `batch_norm_epsilon`.
        backbone_initializer: Of the kernels of stem and cells: "he_normal", "glorot_uniform" or, as
            in the authors' code, "third_fan_in_uniform". Batch norm undoes the scale of a kernel,
            so that they differ in how far a step of the optimizer turns it.
        head_initializer: Of the kernels of ASPP and decoder, "glorot_uniform" in the authors' code;
            None for He's in ASPP and Model Garden's, which are small, in the decoder. The
            classifier's are normal with standard deviation 0.01 as in the authors' code.
        image_pooling_window: The size of the crops that the network is trained on, (height, width)
            or one number, for an image pooling that averages over windows of this size in larger
            images too, as DeepLab's code does at evaluation. None for the mean of the whole image.
            On crops of this size, and on smaller images, both are the same.
        stem_filters: The channels of the stem's first two convolutions; the third has twice as
            many. In a narrow network DeepLab's 64 cost several times as much as all cells.

    Raises:
        UserError: An argument is out of range.

    Example:
        >>> from auto_deeplab.search_space import Branch
        >>> block = Branch("prev_prev", "skip"), Branch("prev", "sep_conv_3x3")
        >>> genotype = Genotype("two layers of one block", network=(4, 8), cell=(block,))
        >>> network = build_network(genotype, classes=5, filters=4)
        >>> network.compute_output_shape([1, 33, 49, 3])
        TensorShape([1, 33, 49, 5])
    """
    if classes < 1:
        raise UserError(f"classes: received {classes}; expected at least 1")
    images = tf_keras.Input((*(input_size or (None, None)), 3), name="images")
    batch_norm = {
        "momentum": batch_norm_momentum,
        "epsilon": batch_norm_epsilon,
        "synchronized": synchronized_batch_norm,
    }
    padded = PadToGrid(max(STEM.stride, *genotype.network), name="pad_to_grid")(images)
    features = encode(
        padded,
        genotype,
        filters,
        batch_norm,
        final_keep_prob,
        backbone_initializer,
        stem_filters,
    )
    logits = decode(
        images,
        padded,
        features,
        classes,
        batch_norm,
        aspp_filters=aspp_filters,
        decoder_filters=decoder_filters,
        dropout=aspp_dropout,
        batch_norm_epsilon=head_batch_norm_epsilon,
        initializer=head_initializer,
        image_pooling_window=image_pooling_window,
    )
    return tf_keras.Model(images, logits, name="auto_deeplab")
