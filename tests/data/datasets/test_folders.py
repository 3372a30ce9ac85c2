import itertools
import unicodedata

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from auto_deeplab.data.conversion.pairs import BadPair
from auto_deeplab.data.datasets.folders import (
    NamedColor,
    folder_conversion,
    generated_palette,
    numbered_labels,
    palette_of,
    read_classes,
    read_colors,
    read_palette,
    read_values,
)
from auto_deeplab.foundations.errors import UserError


@pytest.fixture
def folders(tmp_path):
    for part in ("images", "labels"):
        (tmp_path / part).mkdir()
        cv2.imwrite(str(tmp_path / part / "a.png"), np.zeros((4, 4), np.uint8))
    return {"train": (str(tmp_path / "images"), str(tmp_path / "labels")), "val": (None, None)}


def test_ignored_value_becomes_255(folders):
    conversion = folder_conversion("n", folders, ["a", "b"], ignore_label=7)
    assert conversion.labels.train_ids == {0: 0, 1: 1, 7: 255}
    assert conversion.ignore_label == 255
    assert {split: len(pairs) for split, pairs in conversion.splits.items()} == {"train": 1}


def test_wrong_folders_and_labels_are_explained(folders):
    with pytest.raises(UserError, match=r"train_labels: received nothing, but train_images"):
        folder_conversion("n", {"train": ("images", None)}, ["a"])
    with pytest.raises(
        UserError, match="no folders to convert; expected train_images and train_labels"
    ):
        folder_conversion("n", {"train": (None, None)}, ["a"])
    with pytest.raises(UserError, match="ignore_label: received 1, the number of class 'b'"):
        folder_conversion("n", folders, ["a", "b"], ignore_label=1)
    with pytest.raises(UserError, match="nowhere: no such folder"):
        folder_conversion("n", {"train": ("nowhere", folders["train"][1])}, ["a"])


@pytest.mark.parametrize("classes", [1, 11, 19, 21])
def test_generated_colors_are_told_apart(classes):
    palette = generated_palette(classes)
    assert palette == generated_palette(classes)
    for one, other in itertools.combinations(np.array(palette, int), 2):
        assert np.abs(one - other).sum() > 30


def test_classes_from_list_or_file(tmp_path):
    assert read_classes("sky, road,car") == ("sky", "road", "car")
    path = tmp_path / "classes.txt"
    path.write_text("sky\ntraffic light\n\n")
    assert read_classes(str(path)) == ("sky", "traffic light")
    with pytest.raises(UserError, match=r"classes: received an empty name in .*; expected names"):
        read_classes("sky,,car")


def test_palette_file(tmp_path):
    path = tmp_path / "palette.txt"
    path.write_text("1 2 3\n4, 5, 255\n")
    assert read_palette(str(path)) == ((1, 2, 3), (4, 5, 255))
    path.write_text("1 2 3\n4 5 256\n")
    with pytest.raises(UserError, match=r"line 2: received '4 5 256'; expected red green blue"):
        read_palette(str(path))
    with pytest.raises(UserError, match="cannot be read"):
        read_palette(str(tmp_path / "none.txt"))


def test_a_byte_order_mark_is_no_part_of_a_list(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text("sky\nroad\n", encoding="utf-8-sig")
    assert read_classes(str(path)) == ("sky", "road")
    path.write_text("1 2 3\n", encoding="utf-8-sig")
    assert read_palette(str(path)) == ((1, 2, 3),)
    path.write_text("sky\n", encoding="utf-16")
    with pytest.raises(UserError, match=r"classes='.*list\.txt': cannot be read as UTF-8 text"):
        read_classes(str(path))


def test_a_long_list_of_classes_is_no_file_name():
    names = tuple(f"class number {number}" for number in range(100))
    assert read_classes(",".join(names)) == names
    name = "n" * 5000
    assert read_classes(name) == (name,)


def test_a_class_file_that_does_not_exist_is_no_class(tmp_path):
    with pytest.raises(UserError, match=r"classes='.*clases\.txt': no such file"):
        read_classes(str(tmp_path / "clases.txt"))
    (tmp_path / "classes.txt").write_text("\n\n")
    with pytest.raises(UserError, match="received no name; expected one a line"):
        read_classes(str(tmp_path / "classes.txt"))


def test_labelmes_list_begins_with_a_name_that_is_no_class(tmp_path):
    path = tmp_path / "labels.txt"
    path.write_text("__ignore__\n_background_\ncat\n")
    assert read_classes(str(path)) == ("_background_", "cat")


@pytest.mark.parametrize(
    "text",
    [
        # CVAT's labelmap.txt.
        "# label:color_rgb:parts:actions\nbackground:0,0,0::\nred fox:128,0,0::\n",
        "background 0 0 0\nred fox 128 0 0\n",
        "0 0 0\tbackground\n128 0 0\tred fox\n",  # CamVid's label_colors.txt.
        "name,r,g,b\nbackground,0,0,0\nred fox,128,0,0\n",  # class_dict.csv.
        "background: [0, 0, 0]\n'red fox': [128, 0, 0]\n",
        "\ufeffbackground: 0, 0, 0\r\n\r\nred fox: 128, 0, 0\r\n",
    ],
)
def test_colors_with_names_are_read_in_the_forms_that_tools_write(tmp_path, text):
    path = tmp_path / "colors.txt"
    path.write_text(text, encoding="utf-8")
    assert read_colors(str(path)) == (
        NamedColor("background", (0, 0, 0)),
        NamedColor("red fox", (128, 0, 0)),
    )
    # In the order of the classes, whatever that of the file.
    assert read_palette(str(path), ["red fox", "background"]) == ((128, 0, 0), (0, 0, 0))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("1 2 3\nsky\n", "line 2: received 'sky'; expected red green blue"),
        ("7 1 2 3\n", "line 1: received '7 1 2 3'; expected red green blue"),
        ("\n\nsky: 1, 2, 256\n", "line 3: received 'sky: 1, 2, 256'; expected red green blue"),
        ("# nothing\n", "received no color"),
        ("1 2 3\nsky 4 5 6\n", "received class names in 1 of 2 lines; expected all or none"),
    ],
)
def test_a_wrong_line_of_a_palette_is_named(tmp_path, text, reason):
    path = tmp_path / "colors.txt"
    path.write_text(text)
    with pytest.raises(UserError, match=reason) as error:
        read_colors(str(path))
    assert str(path) in str(error.value)


def test_colors_are_sorted_by_classes_and_the_rest_is_told():
    colors = (NamedColor("void", (9, 9, 9)), NamedColor("b", (2, 2, 2)), NamedColor("a", (1, 1, 1)))
    assert palette_of(colors, ["a", "b"]) == (((1, 1, 1), (2, 2, 2)), (colors[0],))
    with pytest.raises(UserError, match=r"no color for class 'voids'; did you mean void\?"):
        palette_of(colors, ["a", "voids"])
    with pytest.raises(UserError, match="two colors for class 'a'"):
        palette_of((*colors, NamedColor("a", (3, 3, 3))), ["a"])


@settings(max_examples=50, deadline=None)
@given(text=st.text(st.sampled_from("ab 1259,;:#[]\n\r\t\x00é\ufeff\u2028"), max_size=40))
def test_any_palette_file_gives_colors_or_an_error_that_names_it(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("palette") / "colors.txt"
    path.write_text(text, encoding="utf-8")
    message, colors = "", ()
    try:
        colors = read_colors(str(path))
    except UserError as error:
        message = str(error)
    assert bool(colors) != (str(path) in message)
    assert all(0 <= channel <= 255 for entry in colors for channel in entry.color)
    assert len({entry.name == "" for entry in colors}) <= 1


def test_labels_have_the_values_that_are_told():
    assert numbered_labels(["a", "b"], label_values=[0, 255]).train_ids == {0: 0, 255: 1}
    assert numbered_labels(["a", "b"], [0], first_label=1).train_ids == {0: 255, 1: 0, 2: 1}
    assert numbered_labels(["a"]).train_ids == {0: 0, 255: 255}
    assert read_values("label_values", ["0", "255"]) == (0, 255)


def test_values_that_contradict_each_other_are_explained():
    with pytest.raises(UserError, match=r"^label_values: received 1 values, 3; expected 2, one a"):
        numbered_labels(["a", "b"], label_values=[3])
    with pytest.raises(UserError, match="received 3,3; expected another value for each class"):
        numbered_labels(["a", "b"], label_values=[3, 3])
    with pytest.raises(UserError, match="received first_label=1 and label_values; expected one"):
        numbered_labels(["a", "b"], first_label=1, label_values=[3, 4])
    with pytest.raises(
        UserError, match=r"ignore_label: received 255, .* class 'b'; .* numbers 0,255"
    ):
        numbered_labels(["a", "b"], [255], label_values=[0, 255])
    for values in (["-1"], ["256"], ["x"], [""], []):
        with pytest.raises(
            UserError, match=r"^label_values: received .*; expected values 0\.\.255"
        ):
            read_values("label_values", values)


def _save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


_GRAY = np.zeros((4, 4), np.uint8)
_RGB = np.zeros((4, 4, 3), np.uint8)


def _names(conversion) -> list[tuple[str, str]]:
    return [(pair.name, pair.label.file.name) for pair in conversion.splits["train"]]


def _plan(images, labels, **options):
    return folder_conversion("n", {"train": (str(images), str(labels))}, ["a", "b"], **options)


@pytest.mark.parametrize("suffix", ["_mask", "_gt", "_label", "_L", "_unheard_of"])
def test_labels_may_have_something_behind_the_images_name(tmp_path, suffix):
    for name in ("1", "x/2"):
        _save(tmp_path / "i" / f"{name}.jpg", _RGB)
        _save(tmp_path / "l" / f"{name}{suffix}.png", _GRAY)
    expected = [("1.jpg", f"1{suffix}.png"), ("x/2.jpg", f"2{suffix}.png")]
    for told in (suffix, f"{suffix}.png"):
        conversion = _plan(tmp_path / "i", tmp_path / "l", label_suffix=told)
        assert (_names(conversion), conversion.problems) == (expected, [])
    if suffix == "_unheard_of":
        with pytest.raises(UserError, match="no label has the name of an image; label_suffix"):
            _plan(tmp_path / "i", tmp_path / "l")
    else:
        conversion = _plan(tmp_path / "i", tmp_path / "l")
        assert (_names(conversion), conversion.problems) == (expected, [])
        assert f"'{suffix}' behind the image's name" in conversion.notes[0]


def test_images_that_are_called_masks_are_paired_by_their_whole_names(tmp_path):
    for name in ("1_mask", "2_mask"):
        _save(tmp_path / "i" / f"{name}.jpg", _RGB)
        _save(tmp_path / "l" / f"{name}.png", _GRAY)
    conversion = _plan(tmp_path / "i", tmp_path / "l")
    assert _names(conversion) == [("1_mask.jpg", "1_mask.png"), ("2_mask.jpg", "2_mask.png")]
    assert not conversion.notes


@pytest.mark.parametrize(("image", "label"), [("a.jpg", "a.png"), ("a.png", "a_mask.png")])
def test_images_and_labels_may_be_in_one_folder(tmp_path, image, label):
    _save(tmp_path / image, _RGB)
    _save(tmp_path / label, _GRAY)
    conversion = _plan(tmp_path, tmp_path)
    assert (_names(conversion), conversion.problems) == ([(image, label)], [])


def test_names_with_accents_are_the_same_however_they_are_written(tmp_path):
    composed, separate = (unicodedata.normalize(form, "rivière") for form in ("NFC", "NFD"))
    assert composed != separate
    _save(tmp_path / "i" / f"{separate}.jpg", _RGB)
    _save(tmp_path / "l" / f"{composed}.png", _GRAY)
    conversion = _plan(tmp_path / "i", tmp_path / "l")
    assert (_names(conversion), conversion.problems) == (
        [(f"{separate}.jpg", f"{composed}.png")],
        [],
    )


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_labels_come_out_as_declared_or_a_problem_names_the_file(tmp_path_factory, data):
    """The table of NumPy below is the oracle, for numbers, palette indices and colors."""
    classes = data.draw(st.integers(1, 5), "classes")
    all_values = data.draw(
        st.lists(st.integers(0, 255), min_size=classes + 1, max_size=classes + 1, unique=True)
    )
    *values, ignored = all_values
    kind = data.draw(st.sampled_from(["gray", "palette", "color"]), "kind")
    colors = data.draw(
        st.lists(
            st.tuples(*[st.integers(0, 255)] * 3),
            min_size=classes + 1, max_size=classes + 1, unique=True,
        )
    )  # fmt: skip
    stray = data.draw(st.one_of(st.none(), st.integers(0, 255)), "stray value")
    indices = np.random.default_rng(data.draw(st.integers(0, 99))).integers(0, classes + 1, (5, 7))
    # What stands for each index in the file, and one pixel that may stand for any or for none.
    written = [(*color,) for color in colors] if kind == "color" else all_values
    pixels = np.array(written, np.uint8)[indices]
    at_stray = written[indices[2, 3]]
    if stray is not None:
        at_stray = (stray, 1, 2) if kind == "color" else stray
        pixels[2, 3] = at_stray
    folder = tmp_path_factory.mktemp("labels")
    _save(folder / "i" / "a.png", np.zeros((5, 7, 3), np.uint8))
    (folder / "l").mkdir()
    image = Image.fromarray(pixels)
    if kind == "palette":
        image.putpalette([17, 18, 19] * 256)
    image.save(folder / "l" / "a.png")
    conversion = folder_conversion(
        "n",
        {"train": (str(folder / "i"), str(folder / "l"))},
        [f"class {index}" for index in range(classes)],
        ignore_label=ignored,
        label_values=values,
        palette=colors[:-1] if kind == "color" else None,
        ignored_colors=colors[-1:] if kind == "color" else (),
    )
    (pair,) = conversion.splits["train"]
    if at_stray not in written:
        with pytest.raises(BadPair, match=str(folder / "l" / "a.png")):
            conversion.read(pair)
        return
    train_ids = np.array([*range(classes), 255])
    indices[2, 3] = written.index(at_stray)
    np.testing.assert_array_equal(conversion.read(pair).label, train_ids[indices])
