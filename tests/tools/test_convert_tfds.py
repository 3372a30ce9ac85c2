import io

import numpy as np
import pytest
from PIL import Image

from auto_deeplab.data.conversion.engine import convert
from auto_deeplab.data.datasets.cityscapes import CLASSES
from auto_deeplab.data.datasets.tfds import tfds_conversion
from auto_deeplab.data.street_scenes.composition import draw_scene
from auto_deeplab.foundations.errors import UserError

_NAME = "auto_deeplab_street_scenes/tiny"


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """Where tensorflow_datasets keeps 5 + 2 prepared street scenes."""
    from auto_deeplab.data.street_scenes.tfds_builder import (
        AutoDeeplabStreetScenes,
        StreetScenesConfig,
    )

    folder = tmp_path_factory.mktemp("tfds")
    config = StreetScenesConfig(name="tiny", train_images=5, val_images=2, height=64, width=128)
    AutoDeeplabStreetScenes(config=config, data_dir=folder).download_and_prepare()
    return folder


def test_converts_splits_and_parts_of_them(run_tool, read_split, data_dir, tmp_path):
    output = tmp_path / "records"
    result = run_tool(
        "convert_tfds",
        f"--dataset={_NAME}",
        f"--data_dir={data_dir}",
        "--imports=auto_deeplab.data.street_scenes.tfds_builder",
        "--splits=train=train[1:4],test=val",
        f"--classes={','.join(CLASSES)}",
        f"--output_dir={output}",
    )
    assert result.returncode == 0, result.stderr
    assert "3 train, 2 test examples of 19 classes" in result.stdout
    import tensorflow_datasets as tfds

    for ours, theirs in (("train", "train[1:4]"), ("test", "val")):
        # tensorflow_datasets' own reader, in the order of the files.
        expected = list(
            tfds.as_numpy(
                tfds.load(
                    _NAME,
                    split=theirs,
                    data_dir=data_dir,
                    read_config=tfds.ReadConfig(interleave_cycle_length=1),
                )
            )
        )
        found = read_split(output, ours)
        assert len(found) == len(expected)
        for record, example in zip(found, expected, strict=True):
            assert record.image_format == "png"
            np.testing.assert_array_equal(record.image, example["image"])
            np.testing.assert_array_equal(record.label, example["segmentation_label"][..., 0])
    drawn = {draw_scene(0, "val", number, 64, 128)[0].tobytes() for number in range(2)}
    assert {record.image.tobytes() for record in read_split(output, "test")} == drawn


def _prepare(tmp_path, label_feature, values, **more_features):
    """Prepares a data set "oddities" of one split with images of the given label values."""
    import tensorflow_datasets as tfds

    class Oddities(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            features = {
                "image": tfds.features.Image(shape=(None, None, 3), encoding_format="jpeg"),
                "segmentation_mask": label_feature,
                **more_features,
            }
            return self.dataset_info_from_configs(features=tfds.features.FeaturesDict(features))

        def _split_generators(self, dl_manager):
            return {"train": self._generate_examples()}

        def _generate_examples(self):
            for index, value in enumerate(values):
                example = {
                    "image": np.full((8, 8, 3), 10 * index, np.uint8),
                    "segmentation_mask": np.full((8, 8, 1), value, np.uint8),
                }
                yield index, {**example, **dict.fromkeys(more_features, example["image"])}

    return Oddities(data_dir=tmp_path)


@pytest.fixture
def oddities(tmp_path, monkeypatch):
    """Makes `tfds.builder` find a data set, and returns the arguments of its conversion."""
    import tensorflow_datasets as tfds

    def make(label_feature, values, **more_features):
        builder = _prepare(tmp_path / "tfds", label_feature, values, **more_features)
        monkeypatch.setattr(tfds, "builder", lambda name, data_dir: builder)
        return {"dataset": "oddities", "splits": {"train": "train"}}

    return make


def test_labels_may_start_anywhere_and_photographs_stay_jpeg(oddities, read_split, tmp_path):
    import tensorflow_datasets as tfds

    label = tfds.features.Image(shape=(None, None, 1), encoding_format="png")
    arguments = oddities(label, [1, 2, 3, 0])
    conversion = tfds_conversion(
        **arguments, classes=["pet", "background", "outline"], first_label=1, ignore_label=[0]
    )
    convert(conversion, tmp_path / "records", progress=False)
    found = read_split(tmp_path / "records", "train")
    assert {record.image_format for record in found} == {"jpeg"}
    # Which image has which label tells the color of the image.
    labels = {round(record.image.mean() / 10): set(np.unique(record.label)) for record in found}
    assert labels == {0: {0}, 1: {1}, 2: {2}, 3: {255}}


def test_named_labels_need_no_class_names(oddities):
    import tensorflow_datasets as tfds

    label = tfds.features.LabeledImage(labels=["sky", "road"], shape=(None, None, 1))
    conversion = tfds_conversion(**oddities(label, [0, 1]))
    assert conversion.classes == ("sky", "road")
    assert conversion.name == "oddities"
    assert conversion.source == "tensorflow_datasets, oddities/1.0.0"


def test_mistakes_are_explained(oddities, tmp_path):
    import tensorflow_datasets as tfds

    with pytest.raises(UserError, match=r"^dataset='no_such_thing': "):
        tfds_conversion("no_such_thing", {"train": "train"}, data_dir=str(tmp_path))
    label = tfds.features.Image(shape=(None, None, 1), encoding_format="png")
    arguments = oddities(
        label, [0], other=tfds.features.Image(shape=(None, None, 3), encoding_format="png")
    )
    with pytest.raises(
        UserError,
        match=r"^image_key: received nothing, and there are 2 .*; expected .* 3 channels; known",
    ):
        tfds_conversion(**arguments, classes=["a"])
    with pytest.raises(
        UserError, match=r"^label_key: received 'image'; expected .*; known: segmentation"
    ):
        tfds_conversion(**arguments, image_key="image", label_key="image", classes=["a"])
    with pytest.raises(UserError, match=r"^classes: .* 'segmentation_mask' of .* names no classes"):
        tfds_conversion(**arguments, image_key="image")
    arguments["splits"] = {"train": "trian"}
    with pytest.raises(UserError, match=r"splits: received 'trian'; known: train"):
        tfds_conversion(**arguments, image_key="image", classes=["a"])


def test_a_damaged_record_is_named(oddities, tmp_path):
    import tensorflow_datasets as tfds

    label = tfds.features.Image(shape=(None, None, 1), encoding_format="png")
    conversion = tfds_conversion(**oddities(label, [0, 0]), classes=["a"])
    pair = conversion.splits["train"][1]
    content, image = pair.image.path.read_bytes(), pair.image.read_bytes()
    begin = content.rindex(image[:100])
    damaged = content[:begin] + b"\xff" * 50 + content[begin + 50 :]
    pair.image.path.write_bytes(damaged)
    with pytest.raises(UserError) as error:
        convert(conversion, tmp_path / "records", progress=False)
    assert "record 0" not in str(error.value)
    assert f"{pair.image.path}: record 1: image: " in str(error.value)


def _gray_png(value: int) -> io.BytesIO:
    """A file that tensorflow_datasets stores as it is, whatever the feature declares."""
    file = io.BytesIO()
    Image.fromarray(np.full((8, 8), value, np.uint8)).save(file, "png")
    file.seek(0)
    return file


@pytest.mark.parametrize(
    "keys", [{}, {"image_key": "image", "label_key": "annotation"}, {"label_key": "annotation"}]
)
def test_labels_declared_in_color_are_taken_for_what_is_stored(
    tmp_path, monkeypatch, read_split, keys
):
    """As scene_parse150 declares them."""
    import tensorflow_datasets as tfds

    class Scenes(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            features = {
                "image": tfds.features.Image(encoding_format="jpeg"),
                "annotation": tfds.features.Image(encoding_format="png"),
            }
            return self.dataset_info_from_configs(features=tfds.features.FeaturesDict(features))

        def _split_generators(self, dl_manager):
            return {"train": self._generate_examples()}

        def _generate_examples(self):
            for value in range(3):
                image = np.zeros((8, 8, 3), np.uint8)
                yield value, {"image": image, "annotation": _gray_png(value)}

    builder = Scenes(data_dir=tmp_path / "tfds")
    monkeypatch.setattr(tfds, "builder", lambda name, data_dir: builder)
    conversion = tfds_conversion(
        "scenes", {"train": "train"}, classes=["a", "b"], first_label=1, ignore_label=[0], **keys
    )
    convert(conversion, tmp_path / "records", progress=False)
    labels = [set(np.unique(r.label)) for r in read_split(tmp_path / "records", "train")]
    assert sorted(labels, key=min) == [{0}, {1}, {255}]


def test_whatever_a_data_sets_own_code_raises_is_explained(monkeypatch):
    import tensorflow_datasets as tfds

    def builder(name, data_dir):
        raise TypeError("unexpected keyword argument")

    monkeypatch.setattr(tfds, "builder", builder)
    with pytest.raises(UserError, match=r"^dataset='mine': TypeError: unexpected keyword argument"):
        tfds_conversion("mine", {"train": "train"})
