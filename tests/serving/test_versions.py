"""Versions are added, never replaced, also when two exports run at once."""

import pytest

from auto_deeplab.errors import UserError
from auto_deeplab.serving import versions


@pytest.fixture
def output(tmp_path):
    for name in ("7/kept", "12/kept", "notes/x", ".incomplete-1/x"):
        path = tmp_path / "model" / name
        path.parent.mkdir(parents=True)
        path.write_text("kept")
    return tmp_path / "model"


@pytest.fixture
def written(tmp_path):
    folder = tmp_path / "written"
    folder.mkdir()
    (folder / versions.SAVED_MODEL_FILE).write_text("new")
    return folder


def test_the_next_version_follows_the_highest(output, written):
    assert versions.list_versions(output) == [7, 12]
    assert versions.publish(written, output) == output / "13"
    assert versions.find_version(output) == output / "13"
    assert versions.find_version(output / "13") == output / "13"


def test_a_version_that_was_chosen(output, written):
    assert versions.publish(written, output, 9) == output / "9"
    assert versions.find_version(output) == output / "12"


def test_an_existing_version_is_kept(output, written):
    for act in (
        lambda: versions.check_free(output, 12),
        lambda: versions.publish(written, output, 12),
    ):
        with pytest.raises(UserError, match=r"--version=12: .*12 exists; expected a number"):
            act()
    assert (output / "12" / "kept").read_text() == "kept"
    assert written.is_dir()


def test_a_number_that_another_export_took_meanwhile(output, written, monkeypatch):
    seen = iter([[7], [7, 12]])
    monkeypatch.setattr(versions, "list_versions", lambda folder: next(seen))
    (output / "8").mkdir()
    (output / "8" / "kept").write_text("kept")
    assert versions.publish(written, output) == output / "13"
    assert (output / "8" / "kept").read_text() == "kept"


def test_a_folder_that_is_no_export(output, tmp_path):
    with pytest.raises(UserError, match="expected a SavedModel"):
        versions.find_version(tmp_path / "missing")
    (output / versions.SAVED_MODEL_FILE).write_text("model")
    with pytest.raises(UserError, match="is a SavedModel itself"):
        versions.check_free(output, None)
