import io

import numpy as np
import pytest
from PIL import Image

from auto_deeplab.data.image_files import BadInput, LabelTable, Pair, convert_pair, pair_by_stem
from auto_deeplab.errors import UserError

_TABLE = LabelTable({0: 0, 1: 1, 2: 2, 9: 255})
_RNG = np.random.default_rng(0)
_RGB = _RNG.integers(0, 256, (10, 14, 3), np.uint8)
_LABEL = _RNG.integers(0, 3, (10, 14), np.uint8)


@pytest.fixture
def save(tmp_path):
    def write(name: str, pixels: np.ndarray, mode: str | None = None, **options):
        path = tmp_path / name
        Image.fromarray(pixels).convert(mode).save(path, **options) if mode else Image.fromarray(
            pixels
        ).save(path, **options)
        return path

    return write


def _pair(image, label) -> Pair:
    return Pair(image, label, image.name)


def _pixels(encoded: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(encoded)))


@pytest.mark.parametrize(("name", "image_format"), [("a.png", "png"), ("a.jpg", "jpeg")])
def test_upright_rgb_files_are_kept_byte_for_byte(save, name, image_format):
    image, label = save(name, _RGB), save("label.png", np.where(_LABEL == 2, 9, _LABEL))
    example = convert_pair(_pair(image, label), _TABLE, 1.0)
    assert example.image == image.read_bytes()
    assert (example.image_format, example.name) == (image_format, name)
    assert (example.height, example.width) == (10, 14)
    np.testing.assert_array_equal(_pixels(example.label), np.where(_LABEL == 2, 255, _LABEL))


def test_half_size_averages_images_and_picks_labels(save):
    pair = _pair(save("a.png", _RGB), save("label.png", _LABEL))
    example = convert_pair(pair, _TABLE, 0.5)
    assert (example.height, example.width, example.image_format) == (5, 7, "png")
    expected = _RGB.reshape(5, 2, 7, 2, 3).mean(axis=(1, 3))
    assert np.abs(_pixels(example.image) - expected).max() <= 0.5
    candidates = _LABEL.reshape(5, 2, 7, 2).transpose(0, 2, 1, 3).reshape(5, 7, 4)
    assert (_pixels(example.label)[..., np.newaxis] == candidates).any(axis=-1).all()


def test_palette_labels_are_read_as_indices(save, tmp_path):
    label = Image.fromarray(_LABEL)
    label = label.convert("P")
    label.putpalette([200, 10, 10, 20, 220, 20, 30, 30, 230])
    indices = np.asarray(label)
    label.save(tmp_path / "label.png")
    pair = _pair(save("a.png", _RGB), tmp_path / "label.png")
    np.testing.assert_array_equal(_pixels(convert_pair(pair, _TABLE, 1.0).label), indices)


@pytest.mark.parametrize("mode", ["L", "CMYK", "RGBA", "P"])
def test_other_color_modes_become_rgb(save, mode):
    name = {"CMYK": "a.jpg"}.get(mode, "a.png")
    image = save(name, _RGB, mode=mode)
    example = convert_pair(_pair(image, save("label.png", _LABEL)), _TABLE, 1.0)
    assert example.image_format == "png"
    expected = np.asarray(Image.open(image).convert("RGB"))
    np.testing.assert_array_equal(_pixels(example.image), expected)


@pytest.mark.parametrize("orientation", range(2, 9))
def test_images_turned_by_exif_are_stored_upright(save, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = save("a.jpg", _RGB, exif=exif, quality=100)
    # What the EXIF standard says of row 0 and column 0 of the stored image, undone by hand.
    stored = np.asarray(Image.open(image))
    upright = {
        2: stored[:, ::-1],
        3: stored[::-1, ::-1],
        4: stored[::-1],
        5: stored.transpose(1, 0, 2),
        6: np.rot90(stored, -1),
        7: stored[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(stored),
    }[orientation]
    label = save("label.png", np.zeros(upright.shape[:2], np.uint8))
    example = convert_pair(_pair(image, label), _TABLE, 1.0)
    assert example.image_format == "png"
    np.testing.assert_array_equal(_pixels(example.image), upright)


def _bad(tmp_path, save, case):
    image, label = save("a.png", _RGB), save("label.png", _LABEL)
    if case == "missing":
        image.unlink()
    elif case == "empty":
        image.write_bytes(b"")
    elif case == "text":
        image.write_text("hello")
    elif case == "truncated":
        image.write_bytes(image.read_bytes()[:-60])
    elif case == "truncated gray":
        save("a.png", _RGB, mode="L")
        image.write_bytes(image.read_bytes()[:-60])
    elif case == "truncated jpeg":
        image = save("a.jpg", _RNG.integers(0, 256, (64, 64, 3), np.uint8))
        image.write_bytes(image.read_bytes()[:1500])
    elif case == "deep image":
        image = save("a.png", _RGB[..., 0].astype(np.uint16) * 200)
    elif case == "deep label":
        label = save("label.png", _LABEL.astype(np.uint16) * 300)
    elif case == "color label":
        label = save("label.png", _RGB)
    elif case == "jpeg label":
        label = save("label.jpg", _LABEL)
    elif case == "sizes":
        label = save("label.png", _LABEL[:-1])
    elif case == "values":
        label = save("label.png", np.where(_LABEL == 2, 77, _LABEL))
    return _pair(image, label)


@pytest.mark.parametrize(
    ("case", "at_fault", "reason"),
    [
        ("missing", "a.png", "No such file"),
        ("empty", "a.png", "the file is empty"),
        ("text", "a.png", "not an image file"),
        ("truncated", "a.png", "damaged image"),
        ("truncated gray", "a.png", "damaged image"),
        ("truncated jpeg", "a.jpg", "damaged image"),
        ("deep image", "a.png", "expected 8 bits a channel"),
        ("deep label", "label.png", "expected one 8-bit channel"),
        ("color label", "label.png", "mode RGB: expected one 8-bit channel"),
        ("jpeg label", "label.jpg", "a JPEG file: labels must be PNG"),
        ("sizes", "label.png", "is 14x9, but its image"),
        ("values", "label.png", "outside of the table: 77 ("),
    ],
)
def test_bad_input_names_file_and_reason(tmp_path, save, case, at_fault, reason):
    pair = _bad(tmp_path, save, case)
    with pytest.raises(BadInput) as error:
        convert_pair(pair, _TABLE, 1.0)
    assert str(error.value).startswith(f"{tmp_path / at_fault}: ")
    assert reason in str(error.value)


def test_label_table_counts_and_lists_unknown_values():
    label = np.array([[0, 5], [5, 7]], np.uint8)
    with pytest.raises(BadInput, match=r"5 \(2 pixels\), 7 \(1 pixels\); expected 0-2, 9"):
        _TABLE.apply(label)
    with pytest.raises(UserError, match="received 3 -> 256"):
        LabelTable({3: 256})


def test_pairs_are_matched_by_stem_and_problems_gathered(tmp_path):
    images, labels = tmp_path / "images", tmp_path / "labels"
    for name in ("b/2.JPG", "1.png", "3.jpg", "3.png", "4.jpeg", "notes.txt", ".hidden.png"):
        (images / name).parent.mkdir(parents=True, exist_ok=True)
        (images / name).touch()
    for name in ("1.png", "b/2.png", "3.png", "5.png"):
        (labels / name).parent.mkdir(parents=True, exist_ok=True)
        (labels / name).touch()
    pairs, problems = pair_by_stem(images, labels, [".png", ".jpg", ".jpeg"], [".png"])
    assert [pair.name for pair in pairs] == ["1.png", "3.jpg", "b/2.JPG"]
    assert pairs[2].label == labels / "b/2.png"
    assert problems == [
        f"{images / '3.png'}: same stem as {images / '3.jpg'}",
        f"{images / '4.jpeg'}: no label 4.png in {labels}",
        f"{labels / '5.png'}: no image 5.png or .jpg or .jpeg in {images}",
    ]


def test_missing_and_empty_folders_are_problems(tmp_path):
    (tmp_path / "empty").mkdir()
    _, problems = pair_by_stem(tmp_path / "nowhere", tmp_path / "empty", [".png"], [".png"])
    assert problems == [f"{tmp_path / 'nowhere'}: no such folder"]
    _, problems = pair_by_stem(tmp_path / "empty", tmp_path / "empty", [".png"], [".png"])
    assert problems == [f"{tmp_path / 'empty'}: no images that end with .png"]
