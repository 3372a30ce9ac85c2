import cv2
import numpy as np
import pytest
import tensorflow as tf

from auto_deeplab.data.example import EncodedExample
from auto_deeplab.data.schema import (
    parse_encoded,
    parse_example,
    serialize_example,
    shard_name,
    shard_paths,
)
from auto_deeplab.foundations.errors import UserError

_IMAGE = np.random.default_rng(1).integers(0, 256, (7, 9, 3), np.uint8)
_LABEL = np.random.default_rng(2).integers(0, 5, (7, 9), np.uint8)


def _example(suffix: str = ".png") -> EncodedExample:
    return EncodedExample(
        name="a/b.png",
        image=cv2.imencode(suffix, _IMAGE[..., ::-1])[1].tobytes(),
        image_format={".png": "png", ".jpg": "jpeg"}[suffix],
        label=cv2.imencode(".png", _LABEL)[1].tobytes(),
        height=7,
        width=9,
    )


def test_keys_are_those_of_the_deeplab_family():
    message = tf.train.Example.FromString(serialize_example(_example()))
    features = message.features.feature
    texts = {key: features[key].bytes_list.value[0] for key in features if "format" in key}
    assert texts == {"image/format": b"png", "image/segmentation/class/format": b"png"}
    assert features["image/filename"].bytes_list.value[0] == b"a/b.png"
    integers = {
        f"image/{key}": value for key, value in (("height", 7), ("width", 9), ("channels", 3))
    }
    assert {key: features[key].int64_list.value[0] for key in integers} == integers
    encoded = np.frombuffer(
        features["image/segmentation/class/encoded"].bytes_list.value[0], np.uint8
    )
    np.testing.assert_array_equal(cv2.imdecode(encoded, cv2.IMREAD_UNCHANGED), _LABEL)
    assert len(features) == 8


def test_equal_examples_give_equal_bytes():
    assert serialize_example(_example()) == serialize_example(_example())


def test_parse_returns_the_pixels():
    image, label = parse_example(serialize_example(_example()))
    np.testing.assert_array_equal(image, _IMAGE)
    np.testing.assert_array_equal(label, _LABEL)
    assert (image.dtype, label.dtype) == (tf.uint8, tf.uint8)


def test_parse_reads_jpeg():
    image, _ = parse_example(serialize_example(_example(".jpg")))
    expected = cv2.imdecode(cv2.imencode(".jpg", _IMAGE[..., ::-1])[1], cv2.IMREAD_COLOR)[..., ::-1]
    assert np.abs(image.numpy().astype(int) - expected).mean() < 3


def _smooth_image(height: int, width: int) -> np.ndarray:
    colors = np.random.default_rng(3).integers(0, 256, (height // 8, width // 8, 3), np.uint8)
    return cv2.resize(colors, (width, height), interpolation=cv2.INTER_CUBIC)


_SAMPLING = {
    "4:4:4": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
    "4:2:2": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422,
    "4:2:0": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420,
    "4:1:1": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_411,
}


@pytest.mark.parametrize("encoding", ["png", *_SAMPLING])
def test_a_window_has_the_pixels_of_the_whole(encoding):
    height, width = 70, 90
    pixels = _smooth_image(height, width)
    if encoding == "png":
        encoded = cv2.imencode(".png", pixels)[1].tobytes()
    else:
        factors = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, _SAMPLING[encoding]]
        encoded = cv2.imencode(".jpg", pixels, factors)[1].tobytes()
    label = cv2.imencode(".png", np.zeros([height, width], np.uint8))[1].tobytes()
    image_format = "png" if encoding == "png" else "jpeg"
    image, _ = parse_encoded(
        serialize_example(EncodedExample("", encoded, image_format, label, height, width))
    )
    whole = image.pixels().numpy()
    rng = np.random.default_rng(4)
    for _ in range(60):
        begin = rng.integers(0, [height, width])
        end = rng.integers(begin + 1, [height + 1, width + 1])
        window = image.window(tf.constant(begin, tf.int32), tf.constant(end, tf.int32))
        np.testing.assert_array_equal(window, whole[begin[0] : end[0], begin[1] : end[1]])


def test_an_image_of_another_size_than_its_labels_is_an_error():
    for suffix in (".png", ".jpg"):
        example = _example(suffix)
        label = cv2.imencode(".png", _LABEL.T)[1].tobytes()
        image, _ = parse_encoded(
            serialize_example(EncodedExample("", example.image, "", label, 9, 7))
        )
        with pytest.raises(tf.errors.InvalidArgumentError, match="its labels' are"):
            image.pixels()
        with pytest.raises(tf.errors.InvalidArgumentError, match="its labels' are"):
            image.window(tf.constant([0, 0]), tf.constant([2, 2]))


def test_model_garden_reads_the_records():
    segmentation_input = pytest.importorskip("official.vision.dataloaders.segmentation_input")
    decoded = segmentation_input.Decoder().decode(tf.constant(serialize_example(_example())))
    image = tf.io.decode_png(decoded["image/encoded"])
    label = tf.io.decode_png(decoded["image/segmentation/class/encoded"])
    np.testing.assert_array_equal(image, _IMAGE)
    np.testing.assert_array_equal(label[..., 0], _LABEL)
    assert (int(decoded["image/height"]), int(decoded["image/width"])) == (7, 9)


def test_shards_are_found_in_order(tmp_path):
    names = [shard_name("train", index, 3) for index in range(3)]
    assert names[1] == "train-00001-of-00003.tfrecord"
    for name in (*reversed(names), "val-00000-of-00001.tfrecord", "train-00000-of-00003.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in shard_paths(tmp_path, "train")] == names


def test_missing_and_mixed_shards_are_errors(tmp_path):
    with pytest.raises(UserError, match="no file of split 'train'; expected train-"):
        shard_paths(tmp_path, "train")
    (tmp_path / shard_name("train", 0, 3)).touch()
    with pytest.raises(
        UserError,
        match=r"received 1 of the 3 shards .* train-00001-of-00003.tfrecord, train-00002-of",
    ):
        shard_paths(tmp_path, "train")
    (tmp_path / shard_name("train", 0, 2)).touch()
    with pytest.raises(UserError, match="count 2 and 3"):
        shard_paths(tmp_path, "train")
