"""A small dataset of TFRecords whose examples can be told apart."""

import cv2
import numpy as np
import pytest
import tensorflow as tf

from auto_deeplab.data.description import DatasetDescription
from auto_deeplab.data.example import EncodedExample
from auto_deeplab.data.records import serialize_example, shard_name


@pytest.fixture
def make_dataset(tmp_path):
    """Writes a split "train": all labels of example i have the value i."""

    def make(
        examples: int, height: int = 12, width: int = 20, shards: int = 3, grow: int = 0
    ) -> str:
        folder = tmp_path / f"dataset_{examples}_{height}_{width}_{grow}"
        folder.mkdir()
        rng = np.random.default_rng(0)
        for shard in range(shards):
            path = folder / shard_name("train", shard, shards)
            with tf.io.TFRecordWriter(str(path)) as writer:
                for index in range(examples * shard // shards, examples * (shard + 1) // shards):
                    rows, columns = height + grow * index, width + grow * index
                    image = rng.integers(0, 256, (rows, columns, 3), np.uint8)
                    label = np.full((rows, columns), index, np.uint8)
                    example = EncodedExample(
                        name=f"{index}.png",
                        image=cv2.imencode(".png", image[..., ::-1])[1].tobytes(),
                        image_format="png",
                        label=cv2.imencode(".png", label)[1].tobytes(),
                        height=rows,
                        width=columns,
                    )
                    writer.write(serialize_example(example))
        DatasetDescription(
            name="numbers",
            splits={"train": examples},
            classes=[f"class {index}" for index in range(examples)],
            palette=[(index, index, index) for index in range(examples)],
        ).save(folder)
        return str(folder)

    return make
