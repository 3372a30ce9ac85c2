import numpy as np
import tensorflow_datasets as tfds

from auto_deeplab.data.datasets.cityscapes import TRAIN_IDS
from auto_deeplab.data.street_scenes.composition import draw_scene
from auto_deeplab.data.street_scenes.tfds_builder import StreetScenesConfig


def test_tfds_loads_the_scenes_without_network(tmp_path):
    config = StreetScenesConfig(name="tiny", train_images=3, val_images=2, height=64, width=128)
    loaded, info = tfds.load(
        "auto_deeplab_street_scenes",
        data_dir=tmp_path,
        builder_kwargs={"config": config},
        with_info=True,
    )
    counts = {split: info.splits[split].num_examples for split in info.splits}
    assert counts == {"train": 3, "val": 2}
    examples = {bytes(example["file_name"]): example for example in tfds.as_numpy(loaded["val"])}
    image, label = draw_scene(0, "val", 1, 64, 128)
    example = examples[b"val_000001.png"]
    np.testing.assert_array_equal(example["image"], image)
    expected = np.vectorize(TRAIN_IDS.get)(label)
    np.testing.assert_array_equal(example["segmentation_label"][..., 0], expected)
