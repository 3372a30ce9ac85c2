"""JPEG and PNG files inside a graph: checked by their headers, then decoded.

A file of a few kilobytes can claim to be an image that fills the memory. So its size is read from
its header, and what is too large is refused before anything is decoded. As results are filled up to
the largest image of a batch, small files can also do so together: one tall and one wide image.

The orientation that cameras write into EXIF is not applied: no operation of TensorFlow reads it.
"""

from typing import NamedTuple

import tensorflow as tf

# What a PNG file begins with: its signature, the length of its first chunk, and that one's name.
_PNG_BEGIN = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"
# After that come width and height, 4 bytes each, the most significant first.
_PNG_SIZE_BYTES = 8
# A batch, filled up to its largest height and width, may have as many pixels as this many images.
_BATCH_OF_LARGEST = 16


class EncodedImages(NamedTuple):
    """Files whose headers were checked.

    Attributes:
        contents: String [batch].
        sizes: int32 [batch, 2], (height, width) of each.
    """

    contents: tf.Tensor
    sizes: tf.Tensor


def checked(contents: tf.Tensor, max_pixels: int) -> EncodedImages:
    """Checks that there are files, and that each is a JPEG or PNG file of an acceptable size.

    The result depends on the checks: what uses it does not run where they fail.

    Args:
        contents: String [batch].
        max_pixels: The most pixels that an image may have, and, when each is filled up to the
            largest height and width, a sixteenth of what the batch may have.

    Raises:
        tf.errors.InvalidArgumentError: When the graph runs: a check fails.
    """
    contents = tf.ensure_shape(contents, [None])
    count = tf.size(contents)
    with tf.control_dependencies(
        [tf.debugging.Assert(count > 0, ["the batch is empty; expected at least one image"])]
    ):
        contents = tf.identity(contents)
    sizes = tf.map_fn(
        lambda content: _size(content, max_pixels),
        contents,
        fn_output_signature=tf.TensorSpec([2], tf.int32),
    )
    largest = tf.reduce_max(tf.cast(sizes, tf.int64), axis=0)
    limit = _BATCH_OF_LARGEST * max_pixels // tf.cast(tf.maximum(count, 1), tf.int64)
    check = tf.debugging.Assert(
        (largest[0] <= max_pixels // largest[1]) & (largest[0] <= limit // largest[1]),
        [
            f"largest height and width of a batch: expected 1 to {max_pixels} pixels, and "
            f"{_BATCH_OF_LARGEST} times as many for all images; received",
            largest,
            "and images:",
            count,
        ],
    )
    with tf.control_dependencies([check]):
        return EncodedImages(tf.identity(contents), tf.identity(sizes))


def decode(content: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """Decodes a file that was checked.

    Args:
        content: String scalar.
        size: int32 [2], what its header says.

    Returns:
        uint8 [height, width, 3]: gray and palettes become colors, transparency is dropped.
    """
    # This op reads PNG as well. Its default for JPEG is fast and one gray level off on average.
    image = tf.io.decode_jpeg(content, channels=3, dct_method="INTEGER_ACCURATE")
    as_announced = tf.reduce_all(tf.shape(image)[:2] == size)
    with tf.control_dependencies(
        [tf.debugging.Assert(as_announced, ["the image is not as large as its header says", size])]
    ):
        return tf.identity(image)


def _size(content: tf.Tensor, max_pixels: int) -> tf.Tensor:
    """Returns int32 [2], (height, width) from the header of a file, a string scalar."""
    end = len(_PNG_BEGIN) + _PNG_SIZE_BYTES
    # Short files are filled up with zeros: a part beyond the end would be an error without a name.
    begin = tf.strings.substr(content + b"\0" * end, 0, end)
    is_jpeg = tf.io.is_jpeg(content)
    is_png = tf.strings.substr(begin, 0, len(_PNG_BEGIN)) == _PNG_BEGIN
    known = tf.debugging.Assert(
        is_jpeg | is_png,
        [
            "not an image: expected the bytes of a JPEG or PNG file; received bytes:",
            tf.strings.length(content),
        ],
    )
    with tf.control_dependencies([known]):
        size = tf.cond(
            is_jpeg,
            lambda: tf.cast(tf.io.extract_jpeg_shape(content)[:2], tf.int64),
            lambda: _png_size(begin),
        )
    check = tf.debugging.Assert(
        tf.reduce_all(size > 0) & (size[0] <= max_pixels // tf.maximum(size[1], 1)),
        [f"height and width of an image: expected 1 to {max_pixels} pixels, received", size],
    )
    with tf.control_dependencies([check]):
        return tf.cast(size, tf.int32)


def _png_size(begin: tf.Tensor) -> tf.Tensor:
    digits = tf.io.decode_raw(tf.strings.substr(begin, len(_PNG_BEGIN), _PNG_SIZE_BYTES), tf.uint8)
    place_values = tf.constant([2**24, 2**16, 2**8, 1], tf.int64)
    width_and_height = tf.reduce_sum(
        tf.reshape(tf.cast(digits, tf.int64), [2, 4]) * place_values, axis=1
    )
    return tf.reverse(width_and_height, [0])
