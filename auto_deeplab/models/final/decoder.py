"""From an encoder's features to logits, as in DeepLabv3+ (paper, section 5.2)."""

import functools
from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tf_keras
from official.vision.modeling.decoders.aspp import ASPP
from official.vision.modeling.heads.segmentation_heads import SegmentationHead

from auto_deeplab.models.final.aspp import WindowedASPP
from auto_deeplab.models.final.dropout import StatelessDropout
from auto_deeplab.models.final.encoder import EncoderFeatures
from auto_deeplab.models.final.initializers import INITIALIZERS
from auto_deeplab.models.pixel_grid import CropLike, spatial_size
from auto_deeplab.models.resize import ResizeLike, resize_bilinear


@tf_keras.utils.register_keras_serializable(package="auto_deeplab")
class DecoderHead(SegmentationHead):
    """Model Garden's head, whose `deeplabv3plus` fusion keeps to the pixel grid.

    Call with `(low_level, encoded)`, both `[batch, height, width, channels]`; returns logits of the
    height and width of `low_level`.

    Args:
        initializer: Of the kernels before the classifier, one of `INITIALIZERS`; None for Model
            Garden's, a normal distribution of standard deviation 0.01, which the classifier always
            has.
        **kwargs: The arguments of Model Garden's head.
    """

    def __init__(self, initializer: str | None = None, **kwargs):
        super().__init__(**kwargs)
        self.initializer = initializer

    def build(self, input_shape: list[tf.TensorShape]) -> None:
        """Creates the layers, which create their weights when they are first called."""
        super().build(input_shape)
        if self.initializer is not None:
            for convolution in (self._dlv3p_conv, *self._convs):
                convolution.kernel_initializer = tf_keras.initializers.get(
                    INITIALIZERS[self.initializer]
                )

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments as JSON values."""
        return {**super().get_config(), "initializer": self.initializer}

    @property
    def classifier(self) -> tf_keras.layers.Layer:
        """The 1x1 convolution that makes logits."""
        return self._classifier

    def call(self, inputs: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        """Computes the logits; the class describes the shapes."""
        low_level, encoded = inputs
        low_level = self._activation(self._dlv3p_norm(self._dlv3p_conv(low_level)))
        # The one difference: Model Garden resizes with half-pixel centers.
        encoded = resize_bilinear(encoded, spatial_size(low_level))
        features = tf.concat([encoded, low_level], axis=-1)
        for convolution, norm in zip(self._convs, self._norms, strict=True):
            features = self._activation(norm(convolution(features)))
        return self._classifier(features)


def decode(
    images: tf.Tensor,
    padded: tf.Tensor,
    features: EncoderFeatures,
    classes: int,
    batch_norm: dict[str, Any],
    activation: str = "relu",
    aspp_filters: int = 256,
    decoder_filters: int = 256,
    dropout: float = 0.0,
    batch_norm_epsilon: float | None = None,
    initializer: str | None = None,
    image_pooling_window: Sequence[int] | int | None = None,
) -> tf.Tensor:
    """Applies atrous spatial pyramid pooling and DeepLabv3+'s decoder.

    The layers are Model Garden's, and named `aspp`, `decoder`, `logits`.

    Args:
        images: The network's input `[batch, height, width, 3]`; only its size is used.
        padded: What `PadToGrid` made of it, and the encoder has seen; only its size is used.
        features: What the encoder made of it.
        classes: The number of classes.
        batch_norm: Arguments for `tf_keras.layers.BatchNormalization`: momentum, epsilon,
            synchronized.
        activation: After each batch norm.
        aspp_filters: The channels of each of ASPP's branches, and of what they are projected to.
        decoder_filters: The channels of the decoder's two 3x3 convolutions.
        dropout: The share of ASPP's output that is dropped in training.
        batch_norm_epsilon: Of ASPP and decoder; None for that of `batch_norm`.
        initializer: Of the kernels before the classifier, one of `INITIALIZERS`; None for He's in
            ASPP and Model Garden's in the decoder.
        image_pooling_window: The size of the window over which ASPP's image pooling averages,
            (height, width) in pixels of the image or one number for both; None for the mean of the
            whole image.

    Returns:
        Logits, float32 `[batch, height, width, classes]`.
    """
    # The level of a feature map, log2 of its stride, is only a key in Model Garden's dictionaries:
    # with plain tensors the layers do not use it.
    level = level_of_stride(features.final_stride)
    shared = {
        "level": level,
        "activation": activation,
        "norm_momentum": batch_norm["momentum"],
        "norm_epsilon": batch_norm["epsilon"] if batch_norm_epsilon is None else batch_norm_epsilon,
        "use_sync_bn": batch_norm["synchronized"],
    }
    aspp = ASPP
    if image_pooling_window is not None:
        window = _window_of_positions(image_pooling_window, features.final_stride)
        aspp = functools.partial(WindowedASPP, window)
    encoded = aspp(
        num_filters=aspp_filters,
        dilation_rates=atrous_rates(features.final_stride),
        kernel_initializer=INITIALIZERS["he_normal" if initializer is None else initializer],
        output_tensor=True,
        name="aspp",
        **shared,
    )(features.final)
    if dropout:
        encoded = StatelessDropout(dropout, name="aspp_dropout")(encoded)
    logits = DecoderHead(
        num_classes=classes,
        feature_fusion="deeplabv3plus",
        num_filters=decoder_filters,
        low_level_num_filters=48,
        initializer=initializer,
        name="decoder",
        **shared,
    )((features.low_level, encoded))
    # Logits stay float32 under mixed precision: losses need the range.
    logits = ResizeLike(dtype="float32", name="logits")((logits, padded))
    return CropLike(dtype="float32", name="logits_of_images")((logits, images))


def classifier_variables(network: tf_keras.Model) -> list[tf.Variable]:
    """Returns the variables that depend on the number of classes: the classifier's."""
    return network.get_layer("decoder").classifier.variables


def atrous_rates(stride: int) -> list[int]:
    """Returns ASPP's rates: at output stride 16 (6, 12, 18), at others as far in the image."""
    return [max(1, round(rate * 16 / stride)) for rate in (6, 12, 18)]


def _window_of_positions(window: Sequence[int] | int, stride: int) -> tuple[int, int]:
    """Returns a window's (height, width) in positions of a map: of 769 pixels at stride 8, 97."""
    height, width = (window, window) if isinstance(window, int) else window
    return (height - 1) // stride + 1, (width - 1) // stride + 1


def level_of_stride(stride: int) -> int:
    """Returns log2 of a stride, by which Model Garden names feature maps."""
    return stride.bit_length() - 1
