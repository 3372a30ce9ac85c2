"""Checkpoints as files, without a model."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auto_deeplab.foundations.errors import UserError
from auto_deeplab.training.checkpoints.files import CheckpointFiles, Content, Manifest

NOTES = {"epoch": {"steps": 3, "sums": {"loss": 1.25}, "seconds": 4.5}, "val_mean_iou": 0.75}


def write(files, *steps, notes=NOTES):
    for step in steps:
        files.write(step, {".data": Content(3, [b"abc"])}, notes)


def manifest(step=12):
    files = {f"step-{step}.data": {"bytes": 3, "sha256": "0" * 64}}
    return Manifest(step, files, NOTES)


def first_format(manifest):
    """A manifest as the first format had it: without a checksum of its own."""
    document = json.loads(manifest.to_json())
    del document["sha256"]
    return document | {"format": 1}


def test_a_manifest_is_read_as_it_was_written():
    assert Manifest.from_json(manifest().to_json(), 12) == manifest()


@settings(deadline=None, max_examples=50)
@given(st.data())
def test_a_manifest_with_one_changed_character_is_refused_or_says_the_same(data):
    text = manifest().to_json()
    position = data.draw(st.integers(0, len(text) - 1))
    character = data.draw(st.sampled_from("0123456789abcdef .eE-\"'{}[]:,x\n"))
    changed = text[:position] + character + text[position + 1 :]
    error = None
    try:
        found = Manifest.from_json(changed, 12, "step-12.json")
    except UserError as refusal:
        error = refusal
    if error is None:
        assert found == manifest()
    else:
        assert str(error).startswith("step-12.json")
        assert "\n" not in str(error)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=3), values),
    max_leaves=4,
)
PLACES = [
    *(["format"], ["step"], ["files"], ["notes"], ["other"]),
    *(["files", "step-12.data"], ["files", "x"], ["files", "step-12.data", "bytes"]),
    *(["files", "step-12.data", "sha256"], ["notes", "epoch"], ["notes", "epoch", "steps"]),
    *(
        ["notes", "epoch", "sums"],
        ["notes", "epoch", "sums", "loss"],
        ["notes", "epoch", "seconds"],
    ),
    ["notes", "val_mean_iou"],
]


@settings(deadline=None, max_examples=50)
@given(st.sampled_from(PLACES), ANYTHING)
def test_any_change_to_a_manifest_without_checksum_is_read_exactly_or_refused(place, value):
    document = first_format(manifest())
    part = document
    for key in place[:-1]:
        part = part[key]
    part[place[-1]] = value
    error = None
    try:
        found = Manifest.from_json(json.dumps(document), 12, "step-12.json")
    except UserError as refusal:
        error = refusal
    if error is None:
        as_null = json.loads(json.dumps(document), parse_constant=lambda _: None)
        assert (found.files, found.notes) == (as_null["files"], as_null["notes"])
        epoch = found.notes.get("epoch")
        assert epoch is None or (1 <= epoch["steps"] <= 12 and epoch["seconds"] >= 0)
    else:
        assert str(error).startswith("step-12.json: ")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.write_bytes(b"\xff\xfe"), "expected UTF-8"),
        (lambda path: path.write_text("[" * 100_000), "at most 64 levels"),
        (lambda path: path.write_text("{}"), "the field is missing"),
        (lambda path: path.write_text(path.read_text().replace("0.75", "0.85")), "has changed"),
        (lambda path: path.write_text(path.read_text().replace("loss", "lost")), "has changed"),
        (lambda path: path.write_text(path.read_text().replace("sha256", "sha255")), "is missing"),
    ],
)
def test_a_damaged_manifest_leads_to_the_checkpoint_before(tmp_path, damage, message):
    files = CheckpointFiles(tmp_path)
    write(files, 3, 4)
    damage(tmp_path / "step-4.json")
    found, reasons = files.newest()
    assert found.step == 3
    assert list(reasons) == [4]
    assert "step-4.json: " in reasons[4]
    assert message in reasons[4]


def test_manifests_of_the_first_format_are_still_read(tmp_path):
    files = CheckpointFiles(tmp_path)
    write(files, 3)
    path = tmp_path / "step-3.json"
    document = first_format(files.read(3))
    # That format had NaN for the score where nothing could be scored.
    path.write_text(json.dumps(document | {"notes": {"val_mean_iou": float("nan")}}))
    assert files.verify(3).notes == {"val_mean_iou": None}
    assert files.best() is None
    path.write_text(json.dumps(document | {"notes": {"epoch": "x"}}))
    with pytest.raises(UserError, match=r"is no manifest: notes\.epoch: received 'x'"):
        files.read(3)


def test_a_score_that_does_not_exist_is_null_in_the_manifest(tmp_path, caplog):
    files = CheckpointFiles(tmp_path)
    write(files, 3, notes={"val_mean_iou": float("nan")})
    assert json.loads((tmp_path / "step-3.json").read_text())["notes"] == {"val_mean_iou": None}
    assert "not finite, written as null: notes.val_mean_iou (nan)" in caplog.text
    assert files.verify(3).notes == {"val_mean_iou": None}


def test_the_best_is_told_without_those_whose_score_cannot_be_read(tmp_path, caplog):
    files = CheckpointFiles(tmp_path)
    for step, score in ((3, 0.5), (4, 0.75), (5, 0.25)):
        write(files, step, notes={"val_mean_iou": score})
    assert files.best().step == 4
    assert caplog.text == ""
    (tmp_path / "step-4.json").write_text("{}")
    assert files.best().step == 3
    assert "step-4.json: is no manifest" in caplog.text
    assert "whether it is the best checkpoint is not known" in caplog.text


def test_folders_are_no_checkpoints(tmp_path):
    files = CheckpointFiles(tmp_path)
    (tmp_path / "step-9.json").mkdir()
    (tmp_path / "step-9.data").mkdir()
    write(files, 3)
    assert files.steps() == [3]
    assert (tmp_path / "step-9.data").is_dir()
