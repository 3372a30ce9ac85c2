import dataclasses

from auto_deeplab.data.conversion.dry_run import dry_run, label_warnings


def test_counts_sizes_and_labels_without_writing(conversion, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    found = dry_run(dataclasses.replace(conversion, longer_side=5), workers=2, progress=False)
    assert found.problems == []
    assert found.splits["train"].examples == 7
    assert found.splits["train"].sizes == {"5x4": 7}
    # Labels take turns: 0, 1, ignored.
    assert found.splits["train"].label_pixels == {0: 60, 1: 40, 255: 40}
    assert found.splits["val"].label_pixels == {0: 20, 1: 20}
    assert sorted(tmp_path.rglob("*")) == before


def test_gathers_the_problems_in_the_order_of_the_files(conversion):
    train, val = conversion.splits["train"], conversion.splits["val"]
    train[5].image.write_bytes(b"")
    train[2].label.file.write_bytes(b"")
    val[0].image.unlink()
    found = dry_run(conversion, workers=3, progress=False)
    assert [problem.partition(":")[0] for problem in found.problems] == [
        str(train[2].label.file), str(train[5].image), str(val[0].image)
    ]  # fmt: skip
    assert (found.splits["train"].examples, found.splits["val"].examples) == (5, 1)


def test_classes_that_never_occur_and_much_that_is_ignored_are_warned_of(conversion):
    told = dataclasses.replace(conversion, label_advice="do this")
    pixels = {"train": {0: 700, 1: 199, 255: 101}, "val": {0: 900, 255: 100}}
    assert label_warnings(told, pixels) == [
        "split train: 10.1% of the pixels have an ignored value (12) and will not count: if it is "
        "a class, do this",
        "split val: 1 of 2 classes have no pixel (b): do this",
    ]
    assert label_warnings(told, {"train": {0: 1, 1: 1}}) == []


def test_what_a_data_sets_own_rules_ignore_is_no_surprise(conversion):
    assert label_warnings(conversion, {"train": {0: 1, 1: 1, 255: 8}, "test": {255: 10}}) == []
    assert label_warnings(conversion, {"train": {0: 1, 255: 8}}) == [
        "split train: 1 of 2 classes have no pixel (b)"
    ]
