import dataclasses
from collections import UserList
from pathlib import Path

import pytest

from auto_deeplab.data.conversion.color_labels import ColorLabel
from auto_deeplab.data.conversion.pairs import LabelFile, NoLabel, Pair
from auto_deeplab.data.conversion.serialization import from_json, to_json
from auto_deeplab.data.conversion.shards import plan_shards
from auto_deeplab.data.datasets.coco import CocoLabel
from auto_deeplab.data.datasets.tfds import RecordFile
from auto_deeplab.data.datasets.voc2012 import SbdLabel

# Everything that images and labels come from.
ANNOTATIONS = [{"category_id": 3, "iscrowd": 0, "segmentation": [[1.5, 2.0, 3.25, 4.0]]}]
PAIRS = (
    Pair(Path("a.jpg"), LabelFile(Path("a.png")), "a"),
    Pair(RecordFile(Path("r"), 4, "image"), LabelFile(RecordFile(Path("r"), 4, "label")), "b"),
    Pair(Path("c.jpg"), SbdLabel(Path("c.mat")), "c"),
    Pair(Path("d.jpg"), NoLabel(7), "d"),
    Pair(Path("f.jpg"), ColorLabel(Path("f.png"), (((1, 2, 3), 4),)), "f"),
    Pair(Path("e.jpg"), CocoLabel(Path("e.json"), 5, 3, 4, ANNOTATIONS, {3: 1}), "e"),
)


@pytest.mark.parametrize("value", [PAIRS, [1, 2.5, None, True, "text"], {1: (2, [3]), "a": {}}])
def test_a_value_comes_back(value):
    again = from_json(to_json(value))
    assert again == value
    assert type(again) is type(value)


def test_a_conversion_and_its_shards_come_back(conversion):
    again, shards = from_json(to_json((conversion, plan_shards(conversion))))
    assert again.labels.train_ids == conversion.labels.train_ids
    assert dataclasses.replace(again, labels=conversion.labels) == conversion
    assert shards == plan_shards(conversion)


def test_what_cannot_be_sent_is_named():
    with pytest.raises(TypeError, match="received a UserList"):
        to_json({"a": UserList()})


@pytest.mark.parametrize(
    "name",
    [
        "conversion.pairs.os",
        "conversion.pairs.Pair.__init__",
        "os.system",
        "conversion.pairs.BadPair",
        "pathlib.Path",
        "..foundations.errors.UserError",
        "",
    ],
)
def test_nothing_but_dataclasses_of_the_package_is_made(name):
    with pytest.raises(ValueError, match=r"expected a dataclass of auto_deeplab\.data"):
        from_json(f'{{"{name}": {{}}}}')
