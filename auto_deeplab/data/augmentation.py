"""DeepLab's augmentation: random scale, random crop with padding, random horizontal flip.

Every random choice comes from an explicit seed (stateless random operations), so an augmented
example is a function of its image and its seed alone. TF Model Garden normalizes; its random
operations take their randomness from global state, and its scaling is another: see
docs/input_pipeline.md.
"""

from collections.abc import Callable, Sequence

import tensorflow as tf
from official.vision.ops import preprocess_ops

# The images' mean pixel, by which they are padded, becomes 0; black becomes -1, white 1 (DeepLab).
MEAN_PIXEL = 127.5


def normalize_image(image: tf.Tensor) -> tf.Tensor:
    """Maps pixels to [-1, 1].

    Args:
        image: uint8 or float32 [..., height, width, 3], 0 to 255.

    Returns:
        float32 of the same shape.
    """
    image = tf.convert_to_tensor(image)
    # For integers this operation expects the mean as a part of their range.
    middle = (MEAN_PIXEL / 255 if image.dtype.is_integer else MEAN_PIXEL,) * 3
    return preprocess_ops.normalize_image(image, offset=middle, scale=middle)


def pixels_of(normalized: tf.Tensor) -> tf.Tensor:
    """Returns the image, uint8, that `normalize_image` mapped to `normalized`: exactly the same."""
    return tf.cast(tf.round((normalized + 1) * MEAN_PIXEL), tf.uint8)


# Gives a part of an image, uint8 [end[0] - begin[0], end[1] - begin[1], 3], for its corners
# begin and end, int32 [2] each.
Window = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


def window_of(image: tf.Tensor) -> Window:
    """Returns what gives parts of an image in memory, uint8 [height, width, 3]."""
    return lambda begin, end: image[begin[0] : end[0], begin[1] : end[1]]


def augment(
    window: Window,
    label: tf.Tensor,
    seed: tf.Tensor,
    crop_size: tuple[int, int],
    scales: Sequence[float],
    flip: bool,
    ignore_label: int,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Scales, crops, pads and flips an image and its labels at random, and normalizes the image.

    Args:
        window: Gives the part of the image that the crop shows.
        label: uint8 [height, width].
        seed: Integer [2], the seed of all random choices.
        crop_size: (height, width) of the result.
        scales: The factors to choose from, each equally often.
        flip: Whether to mirror left and right in half of the cases.
        ignore_label: The label of padded pixels. (The image is padded with the mean pixel.)

    Returns:
        image: float32 [crop height, crop width, 3], normalized. label: int32 [crop height, crop
        width].
    """
    seeds = tf.unstack(tf.random.split(seed, num=3))
    choice = tf.random.stateless_uniform([], seeds[0], maxval=len(scales), dtype=tf.int32)
    scale = tf.gather(tf.constant(scales, tf.float32), choice)
    scaled_size = scaled_image_size(tf.shape(label), scale)
    origin = random_crop_origin(scaled_size, crop_size, seeds[1])
    image = crop_scaled_image(window, tf.shape(label), scaled_size, origin, crop_size)
    label = crop_scaled_label(label, scaled_size, origin, crop_size, ignore_label)
    if flip:
        mirrored = tf.random.stateless_uniform([], seeds[2]) < 0.5
        image, label = tf.cond(
            mirrored,
            lambda: (tf.reverse(image, axis=[1]), tf.reverse(label, axis=[1])),
            lambda: (image, label),
        )
    return image, label


def scaled_image_size(size: tf.Tensor, scale: tf.Tensor) -> tf.Tensor:
    """Returns int32 [2], `size` times `scale` rounded down (but at least 1), as DeepLab does."""
    return tf.maximum(tf.cast(tf.cast(size, tf.float32) * scale, tf.int32), 1)


def random_crop_origin(size: tf.Tensor, crop_size: tuple[int, int], seed: tf.Tensor) -> tf.Tensor:
    """Returns the top left corner, int32 [2], of a crop, uniform among those inside the image.

    Where the image of `size` is smaller than the crop it is 0: padding goes to bottom and right.
    """
    slack = tf.maximum(size - tf.constant(crop_size), 0)
    seeds = tf.unstack(tf.random.split(seed))
    return tf.stack(
        [
            tf.random.stateless_uniform(
                [], seeds[axis], minval=0, maxval=slack[axis] + 1, dtype=tf.int32
            )
            for axis in (0, 1)
        ]
    )


def crop_scaled_image(
    window: Window,
    size: tf.Tensor,
    scaled_size: tf.Tensor,
    origin: tf.Tensor,
    crop_size: tuple[int, int],
) -> tf.Tensor:
    """Resizes, pads with the mean pixel, crops and normalizes an image.

    Resizing is bilinear, with half-pixel centers and without antialiasing.

    Args:
        window: Gives the part of the image that the crop shows.
        size: int32 [2], the whole image's (height, width).
        scaled_size: int32 [2], the size to which the whole image is resized.
        origin: int32 [2], the crop's top left corner in the resized image.
        crop_size: The crop's (height, width).

    Returns:
        float32 [crop height, crop width, 3].
    """
    factor = tf.cast(scaled_size, tf.float32) / tf.cast(size, tf.float32)
    shown = tf.minimum(scaled_size - origin, crop_size)
    # The shown pixels' centers in the source image, plus the neighbors that bilinear reads.
    first = tf.cast(tf.floor((tf.cast(origin, tf.float32) + 0.5) / factor - 0.5), tf.int32) - 1
    last = tf.cast(tf.floor((tf.cast(origin + shown, tf.float32) - 0.5) / factor - 0.5), tf.int32)
    begin = tf.clip_by_value(first, 0, size - 1)
    end = tf.clip_by_value(last + 3, begin + 1, size)

    def resize() -> tf.Tensor:
        return tf.raw_ops.ScaleAndTranslate(
            images=window(begin, end)[tf.newaxis],
            size=shown,
            scale=factor,
            translation=tf.cast(begin, tf.float32) * factor - tf.cast(origin, tf.float32),
            kernel_type="triangle",
            antialias=False,
        )[0]

    resized = tf.cond(
        tf.reduce_all(scaled_size == size),
        lambda: tf.cast(window(origin, origin + shown), tf.float32),
        resize,
    )
    padding = tf.constant(crop_size) - shown
    # The normalized mean pixel is 0.
    padded = tf.pad(normalize_image(resized), [[0, padding[0]], [0, padding[1]], [0, 0]])
    return tf.ensure_shape(padded, [*crop_size, 3])


def crop_scaled_label(
    label: tf.Tensor,
    scaled_size: tf.Tensor,
    origin: tf.Tensor,
    crop_size: tuple[int, int],
    ignore_label: int,
) -> tf.Tensor:
    """Resizes to the nearest neighbor (half-pixel centers), pads with `ignore_label`, crops.

    Args:
        label: Integer [height, width].
        scaled_size: int32 [2], the size to which the whole label is resized.
        origin: int32 [2], the crop's top left corner in the resized label.
        crop_size: The crop's (height, width).
        ignore_label: The value of pixels outside of the label.

    Returns:
        int32 [crop height, crop width].
    """
    size = tf.shape(label)
    shown = tf.minimum(scaled_size - origin, crop_size)
    rows, columns = (
        # floor((position + 1/2) · size / scaled size), in integers: exact.
        (2 * (origin[axis] + tf.range(shown[axis])) + 1) * size[axis] // (2 * scaled_size[axis])
        for axis in (0, 1)
    )
    resized = tf.gather(tf.gather(tf.cast(label, tf.int32), rows, axis=0), columns, axis=1)
    padding = tf.constant(crop_size) - shown
    padded = tf.pad(
        resized, [[0, padding[0]], [0, padding[1]]], constant_values=tf.constant(ignore_label)
    )
    return tf.ensure_shape(padded, crop_size)
