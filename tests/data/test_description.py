import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auto_deeplab.data.description import FILE_NAME, DatasetDescription
from auto_deeplab.foundations.errors import UserError

_NAMES = st.text(min_size=1, max_size=12).filter(str.strip)
_BYTE = st.integers(0, 255)


@st.composite
def _descriptions(draw):
    classes = draw(st.lists(_NAMES, min_size=1, max_size=30, unique=True))
    return DatasetDescription(
        name=draw(_NAMES),
        splits=draw(st.dictionaries(_NAMES, st.integers(1, 10**9), min_size=1, max_size=4)),
        classes=classes,
        palette=[draw(st.tuples(_BYTE, _BYTE, _BYTE)) for _ in classes],
        ignore_label=draw(st.integers(0, 255)),
        panoptic_label_divisor=draw(st.none() | st.integers(1, 1000)),
        source=draw(st.text(max_size=20)),
    )


def _valid() -> dict:
    return {
        "format": 1,
        "name": "two",
        "splits": {"train": 3, "val": 2},
        "classes": ["road", "sky"],
        "palette": [[128, 64, 128], [70, 130, 180]],
        "ignore_label": 255,
        "source": "",
    }


@settings(deadline=None, max_examples=50)
@given(_descriptions())
def test_json_round_trip(description):
    text = description.to_json()
    assert DatasetDescription.from_json(text) == description
    assert DatasetDescription.from_json(text).to_json() == text


def test_save_and_load(tmp_path):
    description = DatasetDescription.from_json(json.dumps(_valid()))
    description.save(tmp_path)
    assert DatasetDescription.load(tmp_path) == description
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("format", 2, "format: received 2; expected 1"),
        ("format", True, "format: received True; expected 1"),
        ("name", " ", "name"),
        ("splits", {}, "splits: received none; expected at least one"),
        ("splits", {"train": 0}, "splits: received 0"),
        ("splits", {"train": 1.5}, "splits: received 1.5"),
        ("splits", {"train": True}, "splits: received True"),
        ("splits", {"train": 10**20}, "splits: received 1000000000"),
        ("splits", ["train"], "splits: received ['train']; expected a JSON object"),
        ("classes", [], "classes: received 0 names; expected 1 to 255"),
        ("classes", "road", "classes: received 'road'; expected a JSON list"),
        ("classes", ["road", "road"], "received road more than once"),
        ("classes", ["road", 3], "classes: received 3; expected non-empty text"),
        ("palette", [[1, 2, 3]], "palette: received 1 colors; expected 2, one a class"),
        (
            "palette",
            [[1, 2, 3], [0, 0, 256]],
            "palette: received (0, 0, 256); expected (red, green, blue), each 0..255",
        ),
        ("palette", [[1, 2, 3], [0, 0]], "received (0, 0)"),
        ("palette", [[1, 2, 3], 7], "palette: received [[1, 2, 3], 7]; expected a list of"),
        ("ignore_label", -1, "ignore_label: received -1; expected a value from 0"),
        ("ignore_label", 256, "received 256"),
        ("ignore_label", None, "received None"),
        (
            "panoptic_label_divisor",
            0,
            "panoptic_label_divisor: received 0; expected a whole number >= 1",
        ),
        ("source", 4, "source: received 4; expected text"),
        ("source", "a\udc80", "source: received 'a\\udc80'; expected Unicode text"),
        ("colour", 1, "received the unknown field 'colour'"),
    ],
)
def test_bad_field_is_named(field, value, message):
    with pytest.raises(UserError) as error:
        DatasetDescription.from_json(json.dumps({**_valid(), field: value}), source="some.json")
    assert message in str(error.value)
    assert str(error.value).startswith("some.json: ")


def test_unknown_field_suggests_the_near_one():
    with pytest.raises(UserError, match="did you mean classes"):
        DatasetDescription.from_json(json.dumps({**_valid(), "clases": []}))


def test_missing_field_and_bad_json():
    fields = _valid()
    del fields["palette"]
    with pytest.raises(UserError, match="palette: received nothing"):
        DatasetDescription.from_json(json.dumps(fields))
    with pytest.raises(UserError, match=r"received '\{'; expected JSON"):
        DatasetDescription.from_json("{")
    with pytest.raises(UserError, match="received list"):
        DatasetDescription.from_json("[]")


def test_missing_file_names_it(tmp_path):
    with pytest.raises(UserError, match=r"dataset\.json: does not exist"):
        DatasetDescription.load(tmp_path / "nowhere")


def test_unknown_split_lists_the_known_ones():
    description = DatasetDescription.from_json(json.dumps(_valid()))
    assert description.split_examples("val") == 2
    with pytest.raises(
        UserError, match=r"split: received 'vla', which the dataset .*; did you mean val"
    ):
        description.split_examples("vla")
