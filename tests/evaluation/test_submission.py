"""The files of submissions; those of Cityscapes also through its own evaluation."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from auto_deeplab.data.datasets import cityscapes
from auto_deeplab.data.description import DatasetDescription
from auto_deeplab.evaluation.inference import evaluate
from auto_deeplab.evaluation.submission import SubmissionWriter
from auto_deeplab.foundations.errors import UserError


def describe(classes):
    colors = np.random.default_rng(0).integers(0, 256, [classes, 3]).tolist()
    return DatasetDescription("some", {"test": 2}, [f"c{i}" for i in range(classes)], colors)


def read(path):
    with Image.open(path) as image:
        return image.mode, np.asarray(image)


def class_of(batches):
    """The class that the first channel carries."""
    return [np.asarray(images[..., 0], np.int32) for images in batches]


def image_of(class_map):
    return tf.constant(np.repeat(class_map[None, ..., None], 3, axis=-1), tf.float32)


@pytest.fixture
def class_maps():
    rng = np.random.default_rng(0)
    return [rng.integers(0, 21, [5, 7]), rng.integers(0, 21, [6, 4])]


NAMES = ("2008_000006.jpg", "2008_000011.jpg")


def test_voc(tmp_path, class_maps):
    folder = tmp_path / "submission"
    description = describe(21)
    writer = SubmissionWriter(folder, "voc", description, "test", NAMES, class_of, {"step": 3})
    for class_map in class_maps:
        np.testing.assert_array_equal(writer([image_of(class_map)])[0][0], class_map)
    assert not folder.exists()
    writer.finish()
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    assert [path.relative_to(folder).as_posix() for path in files] == [
        "results/VOC2012/Segmentation/comp6_test_cls/2008_000006.png",
        "results/VOC2012/Segmentation/comp6_test_cls/2008_000011.png",
    ]
    for path, class_map in zip(files, class_maps, strict=True):
        mode, values = read(path)
        assert mode == "P"
        np.testing.assert_array_equal(values, class_map)
        colors = np.asarray(Image.open(path).convert("RGB"))
        np.testing.assert_array_equal(colors, np.array(description.palette)[class_map])


def test_ade20k_counts_from_one(tmp_path):
    class_map = np.arange(150).reshape(10, 15)
    writer = SubmissionWriter(
        tmp_path / "s", "ade20k", describe(150), "test", ["ADE_test_00000001.jpg"], class_of, {}
    )
    writer([image_of(class_map)])
    writer.finish()
    mode, values = read(tmp_path / "s" / "ADE_test_00000001.png")
    assert mode == "L"
    np.testing.assert_array_equal(values, class_map + 1)


def test_an_interrupted_submission_goes_on(tmp_path, class_maps):
    predicted = []

    def predict(batches):
        predicted.extend(images.shape[1:3] for images in batches)
        return class_of(batches)

    def writer(**settings):
        return SubmissionWriter(
            tmp_path / "s", "voc", describe(21), "val", NAMES, predict, settings
        )

    writer(step=3)([image_of(class_maps[0])])
    assert len(predicted) == 1
    second = writer(step=3)
    results = second([image_of(class_map) for class_map in class_maps])
    for result, class_map in zip(results, class_maps, strict=True):
        np.testing.assert_array_equal(result[0], class_map)
    # The first image's prediction was there.
    assert predicted == [class_maps[0].shape, class_maps[1].shape]
    # The predictions of another step are not taken for this one's.
    writer(step=4)([image_of(class_maps[0])])
    assert len(predicted) == 3
    second.finish()
    assert len(list((tmp_path / "s").rglob("*.png"))) == 2
    # One that is finished is replaced as a whole.
    third = writer(step=4)
    third([image_of(class_maps[0])])
    assert len(predicted) == 3
    third.finish()
    assert len(list((tmp_path / "s").rglob("*.png"))) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


@pytest.mark.parametrize(
    ("kind", "classes", "names", "message"),
    [
        (
            "voc",
            19,
            NAMES,
            "submission='voc': the dataset some has 19 classes; expected the 21 of voc",
        ),
        ("voc", 21, [NAMES[0]] * 2, "the record '2008_000006.jpg' is there twice"),
        ("cityscapes", 19, ["0.png"], "the record '0.png' has a name of another form"),
        ("voc", 21, [""], "the record '' has a name of another form"),
        ("voc", 21, ["."], "the record '.' has a name of another form"),
        ("voc", 21, [".png"], "has a name of another form"),
        ("voc", 21, ["a/.."], "has a name of another form"),
        ("voc", 21, ["a\x00b.jpg"], r"a\\x00b.jpg' has a name of another form"),
        ("voc", 21, ["a\ud800.jpg"], r"a\\ud800.jpg' has a name of another form"),
        ("voc", 21, ["a\n"], "has a name of another form"),
        ("voc", 21, ["a" * 300], "has a name of another form"),
        ("ade20k", 150, ["\x00"], "has a name of another form"),
        ("cityscapes", 19, ["\x00_000000_000001_leftImg8bit.png"], "has a name of another form"),
        ("cityscapes", 19, ["a_000000_000001_leftImg8bit.png\n"], "has a name of another form"),
        ("cityscapes", 19, ["a_000000_000001_leftImg8bit.png"], "is 7x5; expected 2048x1024"),
    ],
)
def test_what_no_server_would_take(tmp_path, class_maps, kind, classes, names, message):
    def submit():
        writer = SubmissionWriter(
            tmp_path / "s", kind, describe(classes), "test", names, class_of, {}
        )
        for _ in names:
            writer([image_of(class_maps[0])])

    with pytest.raises(UserError, match=message):
        submit()
    assert not (tmp_path / "s").exists()


def test_figures_are_those_of_the_official_evaluation_of_cityscapes(tmp_path, monkeypatch):
    """The official script finds our prediction files by its own rule and reads the label files."""
    from cityscapesscripts.evaluation import evalPixelLevelSemanticLabeling as official

    rng = np.random.default_rng(0)
    # No truck (14) anywhere, trains (16) only where the labels are ignored, riders (12) predicted
    # and never labeled, bicycles (18) labeled and never predicted.
    ids = [label.label_id for label in cityscapes.LABELS if label.train_id not in (12, 14, 16)]
    table = np.full(256, 255, np.uint8)
    table[list(cityscapes.TRAIN_IDS)] = list(cityscapes.TRAIN_IDS.values())
    names, batches, label_files = [], [], []
    (tmp_path / "gtFine").mkdir()
    for index in range(2):
        stem = f"ulm_000000_{index:06d}"
        label_ids = rng.choice(ids, [16, 32]).astype(np.uint8).repeat(64, 0).repeat(64, 1)
        train_ids = table[label_ids]
        prediction = np.where(rng.random(train_ids.shape) < 0.6, train_ids, 255)
        noise = rng.choice([c for c in range(19) if c not in (14, 16, 18)], train_ids.shape)
        prediction = np.where(prediction > 17, noise, prediction)
        prediction = np.where((train_ids == 255) & (noise < 2), 16, prediction)
        label_files.append(str(tmp_path / "gtFine" / f"{stem}_gtFine_labelIds.png"))
        Image.fromarray(label_ids).save(label_files[-1])
        names.append(f"ulm/{stem}_leftImg8bit.png")
        batches.append((image_of(prediction), tf.constant(train_ids[None], tf.int32)))
    description = DatasetDescription(
        "cityscapes", {"val": 2}, cityscapes.CLASSES, cityscapes.PALETTE
    )
    writer = SubmissionWriter(
        tmp_path / "results", "cityscapes", description, "val", names, class_of, {}
    )
    matrix = evaluate(writer, batches, 19, progress=False)
    writer.finish()

    monkeypatch.setattr(official.args, "predictionPath", str(tmp_path / "results"))
    monkeypatch.setattr(official.args, "predictionWalk", None)
    for name in ("evalInstLevelScore", "JSONOutput"):
        monkeypatch.setattr(official.args, name, False)
    monkeypatch.setattr(official.args, "quiet", True)
    predictions = [official.getPrediction(official.args, file) for file in label_files]
    expected = official.evaluateImgLists(predictions, label_files, official.args)
    scores = [expected["classScores"][name] for name in cityscapes.CLASSES]
    np.testing.assert_allclose(matrix.class_iou, scores, atol=1e-6, equal_nan=True)
    assert matrix.mean_iou == pytest.approx(expected["averageScoreClasses"], abs=1e-6)
    assert np.isnan(matrix.class_iou[[14, 16]]).all()
    assert matrix.class_iou[12] == matrix.class_iou[18] == 0
    ids = [label.label_id for label in cityscapes.TRAIN_LABELS]
    np.testing.assert_array_equal(matrix.counts, np.array(expected["confMatrix"])[np.ix_(ids, ids)])
