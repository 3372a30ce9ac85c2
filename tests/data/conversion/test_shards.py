import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auto_deeplab.data.conversion.label_table import LabelTable
from auto_deeplab.data.conversion.plan import Conversion, list_problems, plan_splits
from auto_deeplab.data.conversion.shards import is_part_of_conversion, plan_shards
from auto_deeplab.foundations.errors import UserError

_CONVERSION = Conversion(
    name="numbers", splits={}, labels=LabelTable({0: 0}), classes=["a"], palette=[(0, 0, 0)]
)


@given(
    st.dictionaries(st.sampled_from(["train", "val", "test"]), st.integers(0, 300)),
    st.integers(1, 120),
)
def test_shards_divide_each_split_evenly_and_in_order(counts, most):
    splits = {split: list(range(count)) for split, count in counts.items()}
    shards = plan_shards(dataclasses.replace(_CONVERSION, splits=splits, examples_per_shard=most))
    for split, items in splits.items():
        own = [shard for shard in shards if shard.split == split]
        assert [item for shard in own for item in shard.pairs] == items
        sizes = [len(shard.pairs) for shard in own]
        assert not own or (max(sizes) <= most and max(sizes) - min(sizes) <= 1 and min(sizes) > 0)
        assert len(own) == -(-len(items) // most)
        assert [shard.name for shard in own] == sorted(
            f"{split}-{index:05d}-of-{len(own):05d}.tfrecord" for index in range(len(own))
        )


def test_splits_are_put_together_with_their_problems():
    def pairs_of(split):
        if split == "missing":
            raise UserError("no split 'missing'")
        return ["pair"], [f"{split}: odd", "the same for all"]

    plan = plan_splits(["train", "val"], pairs_of)
    assert plan == {
        "splits": {"train": ["pair"], "val": ["pair"]},
        "problems": ["train: odd", "the same for all", "val: odd"],
    }
    with pytest.raises(UserError) as error:
        plan_splits(["train", "missing"], pairs_of)
    assert "3 problems" in str(error.value)
    assert "no split 'missing'" in str(error.value)


def test_long_lists_of_problems_say_what_they_leave_out():
    problems = [f"{number}.png: bad" for number in range(60)]
    text = list_problems(problems)
    assert "60 problems" in text
    assert "49.png" in text
    assert "50.png" not in text
    assert "and 10 more; dry_run lists them all" in text
    assert "59.png" in list_problems(problems, most=None)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("train-00000-of-00003.tfrecord", True),
        ("train-00000-of-00003.tfrecord.0f3.partial", True),
        (".train-00000-of-00003.tfrecord.77.finished", True),
        ("dataset.json", True),
        (".conversion.77.json", True),
        ("notes.txt", False),
        ("train.tfrecord", False),
    ],
)
def test_own_files_are_known_by_their_names(tmp_path, name, expected):
    (tmp_path / name).touch()
    assert is_part_of_conversion(tmp_path / name) is expected
