"""The final network: encoder, atrous spatial pyramid pooling, decoder (paper, section 5.2)."""

from typing import Annotated

import tf_keras
from annotated_types import Ge, Le

from auto_deeplab.foundations.configurable import Decay, Positive, Share, Size, configurable
from auto_deeplab.foundations.errors import UserError
from auto_deeplab.models.final.decoder import decode
from auto_deeplab.models.final.encoder import encode
from auto_deeplab.search_space import Genotype


@configurable(denylist=["genotype", "classes"])
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
    stem_filters: Annotated[int, Ge(1), Le(1024)] = 64,
) -> tf_keras.Model:
    """Builds the network of a genotype.

    Maps normalized images, float32 `[batch, height, width, 3]`, to logits, float32 `[batch,
    height, width, classes]`, at any height and width. Its layers are named `stem`, `layer1` to
    `layerL`, `aspp`, `decoder`.

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
    features = encode(images, genotype, filters, batch_norm, final_keep_prob, stem_filters)
    logits = decode(
        images,
        features,
        classes,
        batch_norm,
        aspp_filters=aspp_filters,
        decoder_filters=decoder_filters,
    )
    return tf_keras.Model(images, logits, name="auto_deeplab")
