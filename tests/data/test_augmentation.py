"""The oracles resize the whole image in NumPy, then pad, crop and flip it."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from auto_deeplab.data import augmentation

_IGNORE = 255


def _bilinear(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Half-pixel centers, edges repeated."""
    result = image.astype(np.float64)
    for axis, length in enumerate(size):
        source = image.shape[axis]
        position = np.clip((np.arange(length) + 0.5) * source / length - 0.5, 0, source - 1)
        low = np.floor(position).astype(int)
        high = np.minimum(low + 1, source - 1)
        weight = (position - low).reshape([-1 if a == axis else 1 for a in range(3)])
        result = np.take(result, low, axis) * (1 - weight) + np.take(result, high, axis) * weight
    return result


def _nearest(label: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    rows, columns = (
        np.floor((np.arange(length) + 0.5) * label.shape[axis] / length + 1e-9).astype(int)
        for axis, length in enumerate(size)
    )
    return label[rows][:, columns]


def _pad_and_crop(values, origin, crop_size, fill):
    shape = np.maximum(values.shape[:2], crop_size)
    padded = np.full((*shape, *values.shape[2:]), fill, values.dtype)
    padded[: values.shape[0], : values.shape[1]] = values
    rows, columns = (slice(o, o + c) for o, c in zip(origin, crop_size, strict=True))
    return padded[rows, columns]


def _random_example(seed: int, size: tuple[int, int]):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (*size, 3), np.uint8), rng.integers(0, 19, size, np.uint8)


def test_normalize_image_is_deeplabs():
    image = np.arange(256, dtype=np.uint8).reshape(8, 32, 1).repeat(3, axis=2)
    normalized = augmentation.normalize_image(tf.constant(image))
    assert normalized.dtype == tf.float32
    np.testing.assert_allclose(normalized, image / 127.5 - 1, atol=1e-6)


_SIDE = st.integers(3, 40)


@settings(deadline=None, max_examples=60)
@given(
    size=st.tuples(_SIDE, _SIDE),
    scale=st.sampled_from([0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0, 0.33]),
    crop_size=st.tuples(_SIDE, _SIDE),
    where=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_crop_of_scaled_equals_scaling_the_whole_image(size, scale, crop_size, where):
    image, label = _random_example(0, size)
    scaled = tuple(max(1, int(np.float32(side) * np.float32(scale))) for side in size)
    tensor = augmentation.scaled_image_size(tf.constant(size), tf.constant(scale))
    assert tuple(tensor.numpy()) == scaled
    origin = [int(w * max(s - c, 0)) for w, s, c in zip(where, scaled, crop_size, strict=True)]
    arguments = (tf.constant(scaled), tf.constant(origin), crop_size)
    expected = _pad_and_crop(_bilinear(image, scaled), origin, crop_size, 127.5) / 127.5 - 1
    window = augmentation.window_of(tf.constant(image))
    cropped = augmentation.crop_scaled_image(window, tf.constant(size), *arguments)
    np.testing.assert_allclose(cropped, expected, atol=2e-3)
    expected_label = _pad_and_crop(_nearest(label, scaled), origin, crop_size, _IGNORE)
    cropped_label = augmentation.crop_scaled_label(tf.constant(label), *arguments, _IGNORE)
    np.testing.assert_array_equal(cropped_label, expected_label)


def test_resizing_agrees_with_tensorflow():
    image, label = _random_example(3, (33, 47))
    for scaled in ((66, 94), (16, 23), (33, 47), (57, 82)):
        whole = (tf.constant(scaled), tf.constant([0, 0]), scaled)
        expected = tf.image.resize(image, scaled) / 127.5 - 1.0
        np.testing.assert_allclose(
            augmentation.crop_scaled_image(
                augmentation.window_of(tf.constant(image)), tf.constant([33, 47]), *whole
            ),
            expected,
            atol=1e-3,
        )
        expected_label = tf.image.resize(label[..., None], scaled, method="nearest")[..., 0]
        np.testing.assert_array_equal(
            augmentation.crop_scaled_label(tf.constant(label), *whole, _IGNORE), expected_label
        )


def _coordinate_example(size):
    """An image whose red and green are the pixel's row and column, with a label made of both."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    image = np.stack([rows, columns, 0 * rows], axis=-1).astype(np.uint8)
    return image, (rows % 16 * 10 + columns % 10).astype(np.uint8)


def test_crops_and_flips_are_uniform_and_labels_follow_the_image():
    size, crop_size, draws = (20, 24), (17, 21), 1200
    image, label = (tf.constant(part) for part in _coordinate_example(size))

    @tf.function
    def draw(index):
        return augmentation.augment(
            augmentation.window_of(image),
            label,
            tf.stack([7, index]),
            crop_size,
            (1.0,),
            True,
            _IGNORE,
        )

    counts = np.zeros((4, 4, 2), int)
    for index in range(draws):
        pixels, labels = (part.numpy() for part in draw(tf.constant(index)))
        pixels = np.rint((pixels + 1) * 127.5).astype(int)
        np.testing.assert_array_equal(labels, pixels[..., 0] % 16 * 10 + pixels[..., 1] % 10)
        flipped = int(pixels[0, 0, 1] > pixels[0, 1, 1])
        column = pixels[0, -1 if flipped else 0, 1]
        counts[pixels[0, 0, 0], column, flipped] += 1
    expected = draws / counts.size
    chi_square = ((counts - expected) ** 2 / expected).sum()
    assert chi_square < 65  # 31 degrees of freedom: exceeded once in 3,000 fair draws.


def test_scales_are_chosen_equally_often():
    scales, draws = (0.5, 1.0, 2.0), 600
    # All label values differ, so the number of distinct ones in the crop tells the scale.
    label = tf.reshape(tf.range(196, dtype=tf.int32), [14, 14])
    image = tf.zeros([14, 14, 3], tf.uint8)

    @tf.function
    def draw(index):
        return augmentation.augment(
            augmentation.window_of(image),
            label,
            tf.stack([3, index]),
            (40, 40),
            scales,
            False,
            _IGNORE,
        )[1]

    sizes = [int((draw(tf.constant(i)).numpy()[:, 0] != _IGNORE).sum()) for i in range(draws)]
    counts = np.array([sizes.count(int(14 * scale)) for scale in scales])
    assert counts.sum() == draws
    assert ((counts - draws / 3) ** 2 / (draws / 3)).sum() < 16


def test_same_seed_same_result_and_static_shapes():
    image, label = (tf.constant(part) for part in _random_example(5, (30, 31)))
    arguments = (tf.constant([1, 2], tf.int64), (9, 11), (0.5, 1.5), True, _IGNORE)
    first, second = (
        augmentation.augment(augmentation.window_of(image), label, *arguments) for _ in range(2)
    )
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)
    assert first[0].dtype == tf.float32
    assert first[1].dtype == tf.int32

    @tf.function
    def shapes(image, label):
        result = augmentation.augment(augmentation.window_of(image), label, *arguments)
        assert [part.shape.as_list() for part in result] == [[9, 11, 3], [9, 11]]

    shapes.get_concrete_function(
        tf.TensorSpec([None, None, 3], tf.uint8), tf.TensorSpec([None, None], tf.uint8)
    )


@pytest.mark.parametrize("size", [(5, 50), (50, 5), (4, 4)])
def test_padding_goes_to_the_bottom_and_right(size):
    image = tf.fill([*size, 3], tf.constant(255, tf.uint8))
    label = tf.zeros(size, tf.uint8)
    pixels, labels = augmentation.augment(
        augmentation.window_of(image), label, tf.constant([0, 0]), (12, 12), (1.0,), False, _IGNORE
    )
    shown = np.zeros((12, 12), bool)
    shown[: min(size[0], 12), : min(size[1], 12)] = True
    np.testing.assert_array_equal(labels, np.where(shown, 0, _IGNORE))
    np.testing.assert_allclose(pixels, np.where(shown, 1.0, 0.0)[..., None].repeat(3, 2), atol=1e-6)
