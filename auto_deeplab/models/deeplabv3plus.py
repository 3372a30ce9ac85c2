"""The baseline: DeepLabv3+ on a ResNet, from Model Garden's parts (Chen et al. 2018)."""

from typing import Annotated

import tensorflow as tf
import tf_keras
from annotated_types import Ge, Lt, Predicate, doc
from official.vision.modeling.backbones.resnet_deeplab import RESNET_SPECS, DilatedResNet

from auto_deeplab.foundations.configurable import Decay, Pixels, Positive, Size, configurable
from auto_deeplab.foundations.errors import UserError
from auto_deeplab.models.final.decoder import decode, level_of_stride
from auto_deeplab.models.final.encoder import EncoderFeatures
from auto_deeplab.models.final.initializers import InitializerName
from auto_deeplab.models.pixel_grid import PadToGrid

OUTPUT_STRIDES = (8, 16)
Depth = Annotated[
    int, Predicate(RESNET_SPECS.__contains__), doc(f"one of {', '.join(map(str, RESNET_SPECS))}")
]
OutputStride = Annotated[
    int, Predicate(OUTPUT_STRIDES.__contains__), doc(" or ".join(map(str, OUTPUT_STRIDES)))
]


def _is_activation(name: str) -> bool:
    try:
        tf_keras.activations.get(name)
    except ValueError:
        return False
    return bool(name)


Activation = Annotated[
    str, Predicate(_is_activation), doc("the name of an activation of Keras, such as 'relu'")
]


@configurable(denylist=["classes"])
# There is nothing to convert, and converting the layers takes as long as building them.
@tf.autograph.experimental.do_not_convert
def build_deeplabv3plus(
    classes: int,
    depth: Depth = 101,
    output_stride: OutputStride = 16,
    activation: Activation = "relu",
    batch_norm_momentum: Decay = 0.9997,
    batch_norm_epsilon: Positive = 1e-3,
    synchronized_batch_norm: bool = False,
    input_size: Size | None = None,
    aspp_dropout: Annotated[float, Ge(0), Lt(1)] = 0.0,
    head_batch_norm_epsilon: Positive | None = None,
    head_initializer: InitializerName | None = None,
    image_pooling_window: Pixels | Size | None = None,
) -> tf_keras.Model:
    """Builds DeepLabv3+ as Model Garden's `seg_deeplabv3plus_*` experiments configure it.

    The backbone is its `dilated_resnet` with the stem of three 3x3 convolutions and the multigrid
    (1, 2, 4); ASPP and decoder are those of `build_network`, so the two networks differ in the
    encoder alone.

    Maps normalized images, float32 `[batch, height, width, 3]`, to logits, float32 `[batch,
    height, width, classes]`, at any height and width; it fills images up to its pixel grid
    (`models/pixel_grid.py`). Its layers are named `resnet`, `aspp`, `decoder`.

    Args:
        classes: The number of classes.
        depth: Of the ResNet: 50, 101, 152 or 200.
        output_stride: The stride of the encoder's last features: 16, or 8.
        activation: After each batch norm. The papers have "relu"; Model Garden's experiments have
            "swish", which is slower.
        batch_norm_momentum: Of the moving statistics; see `build_network`.
        batch_norm_epsilon: Added to the variance.
        synchronized_batch_norm: Whether replicas share batch statistics.
        input_size: (height, width) to fix, or None for any.
        aspp_dropout: The share of ASPP's output that is dropped in training; see `build_network`.
        head_batch_norm_epsilon: Of ASPP and decoder; None for `batch_norm_epsilon`.
        head_initializer: Of the kernels of ASPP and decoder; see `build_network`.
        image_pooling_window: Of ASPP's image pooling, in pixels; see `build_network`.

    Raises:
        UserError: An argument is out of range.
    """
    if classes < 1:
        raise UserError(f"classes: received {classes}; expected at least 1")
    images = tf_keras.Input((*(input_size or (None, None)), 3), name="images")
    resnet = DilatedResNet(
        model_id=depth,
        output_stride=output_stride,
        input_specs=tf_keras.layers.InputSpec(shape=images.shape),
        stem_type="v1",
        multigrid=(1, 2, 4),
        activation=activation,
        use_sync_bn=synchronized_batch_norm,
        norm_momentum=batch_norm_momentum,
        norm_epsilon=batch_norm_epsilon,
        name="resnet",
    )
    padded = PadToGrid(output_stride, name="pad_to_grid")(images)
    endpoints = resnet(padded)
    features = EncoderFeatures(
        endpoints["2"], endpoints[str(level_of_stride(output_stride))], output_stride
    )
    batch_norm = {
        "momentum": batch_norm_momentum,
        "epsilon": batch_norm_epsilon,
        "synchronized": synchronized_batch_norm,
    }
    logits = decode(
        images,
        padded,
        features,
        classes,
        batch_norm,
        activation,
        dropout=aspp_dropout,
        batch_norm_epsilon=head_batch_norm_epsilon,
        initializer=head_initializer,
        image_pooling_window=image_pooling_window,
    )
    return tf_keras.Model(images, logits, name="deeplabv3plus")
