"""Records with the keys that other projects' own converters write are read as they are.

TF1 DeepLab: `image_seg_to_tfexample` in research/deeplab/datasets/build_data.py. DeepLab2:
`create_features` and `create_video_tfexample` in data/data_utils.py. TF Model Garden: its own
builder writes here.
"""

import cv2
import numpy as np
import pytest
import tensorflow as tf

from auto_deeplab.data.description import DatasetDescription
from auto_deeplab.data.pipeline import evaluation_batches
from auto_deeplab.data.segmentation_records import SegmentationRecords
from tests.datasets import write_records

_CLASSES = 5
_SIZES = [(13, 17), (18, 12), (16, 16)]


def _examples():
    rng = np.random.default_rng(0)
    for size in _SIZES:
        label = rng.integers(0, _CLASSES, size, np.uint8)
        label[rng.random(size) < 0.2] = 255
        # Smooth, as photographs are: JPEG keeps it.
        colors = rng.integers(0, 256, (3, 3, 3), np.uint8)
        yield cv2.resize(colors, size[::-1], interpolation=cv2.INTER_LINEAR), label


def _png(pixels: np.ndarray) -> bytes:
    return tf.io.encode_png(pixels if pixels.ndim == 3 else pixels[..., None]).numpy()


def _jpeg(pixels: np.ndarray) -> bytes:
    return cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()


def _serialize(features: dict[str, bytes | int]) -> bytes:
    message = tf.train.Example()
    for key, value in features.items():
        feature = message.features.feature[key]
        values = feature.bytes_list if isinstance(value, bytes) else feature.int64_list
        values.value.append(value)
    return message.SerializeToString()


def _deeplab_keys(image, label, image_format, label_format) -> dict[str, bytes | int]:
    """The keys that TF1 DeepLab and DeepLab2 have in common."""
    return {
        "image/encoded": _png(image) if image_format == b"png" else _jpeg(image),
        "image/filename": b"munich_000000_000019",
        "image/format": image_format,
        "image/height": image.shape[0],
        "image/width": image.shape[1],
        "image/channels": 3,
        "image/segmentation/class/encoded": label,
        "image/segmentation/class/format": label_format,
    }


def _tf1_deeplab(image, label):
    return _serialize(_deeplab_keys(image, _png(label), b"jpeg", b"png"))


def _deeplab2_semantic(image, label):
    return _serialize(_deeplab_keys(image, _png(label), b"png", b"png"))


def _panoptic(label):
    """Class · 1000 + instance, as int32 in the machine's (little-endian) order."""
    instances = np.arange(label.size).reshape(label.shape) % 1000
    return (label.astype("<i4") * 1000 + np.where(label == 255, 0, instances)).astype("<i4")


def _deeplab2_panoptic(image, label):
    return _serialize(_deeplab_keys(image, _panoptic(label).tobytes(), b"png", b"raw"))


def _deeplab2_video(image, label):
    return _serialize(
        _deeplab_keys(image, _panoptic(label).tobytes(), b"png", b"raw")
        | {
            "video/sequence_id": b"0001",
            "video/frame_id": b"000003",
            "prev_image/encoded": _png(image[::-1]),
            "prev_image/segmentation/class/encoded": _panoptic(label[::-1]).tobytes(),
        }
    )


def _model_garden(image, label):
    tf_example_builder = pytest.importorskip("official.vision.data.tf_example_builder")
    return (
        tf_example_builder.TfExampleBuilder()
        .add_encoded_image_feature(_png(image), image_format="PNG")
        .add_encoded_semantic_mask_feature(_png(label))
        .example.SerializeToString()
    )


def _model_garden_decoder_keys(image, label):
    """No more than what Model Garden's segmentation decoder asks for."""
    return _serialize(
        {
            "image/encoded": _jpeg(image),
            "image/height": image.shape[0],
            "image/width": image.shape[1],
            "image/segmentation/class/encoded": _png(label),
        }
    )


@pytest.mark.parametrize(
    ("write", "divisor"),
    [
        (_tf1_deeplab, None),
        (_deeplab2_semantic, None),
        (_deeplab2_panoptic, 1000),
        (_deeplab2_video, 1000),
        (_model_garden, None),
        (_model_garden_decoder_keys, None),
    ],
)
def test_images_and_labels_are_read(tmp_path, write, divisor):
    examples = list(_examples())
    for index, example in enumerate(examples):
        path = tmp_path / f"train_fine-{index:05d}-of-{len(examples):05d}.tfrecord"
        write_records(path, [write(*example)])
    DatasetDescription(
        name="theirs",
        splits={"train_fine": len(examples)},
        classes=[f"class {i}" for i in range(_CLASSES)],
        palette=[(i, i, i) for i in range(_CLASSES)],
        panoptic_label_divisor=divisor,
    ).save(tmp_path)
    batches = list(evaluation_batches(SegmentationRecords(tmp_path, "train_fine")))
    assert len(batches) == len(examples)
    for (images, labels), (image, label) in zip(batches, examples, strict=True):
        np.testing.assert_array_equal(labels[0], label)
        pixels = (images[0].numpy() + 1) * 127.5
        error = np.abs(pixels - image).mean()
        assert error < (8 if write in (_tf1_deeplab, _model_garden_decoder_keys) else 1e-3)
