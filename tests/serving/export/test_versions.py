"""Versions are added, never replaced, also when two exports run at once."""

import shutil

import pytest

from auto_deeplab.foundations.errors import UserError
from auto_deeplab.serving.export import versions
from tests.helpers import run_new_python


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
        with pytest.raises(UserError, match=r"version=12: .*12 exists; expected a number"):
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
    with pytest.raises(UserError, match="expected a SavedModel, or"):
        versions.find_version(tmp_path / "missing")
    (output / versions.SAVED_MODEL_FILE).write_text("model")
    with pytest.raises(UserError, match="is a SavedModel itself"):
        versions.check_free(output, None)


KILLED = """
import os, signal, sys
from pathlib import Path
from auto_deeplab.serving.export import versions

with versions.unfinished(Path(sys.argv[1])) as folder:
    (folder / "half").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def hidden(output):
    return sorted(path.name for path in output.glob(".*"))


def test_the_next_export_removes_what_a_killed_one_left_and_nothing_else(output):
    with versions.unfinished(output) as ours:
        (ours / "half").write_text("half")
        assert not (output / ".incomplete-1").exists(), "left by an export that nobody knows of"
        run_new_python("-c", KILLED, output, timeout=60)
        assert len(hidden(output)) == 2
        with versions.unfinished(output) as another:
            assert hidden(output) == sorted([ours.name, another.name])
            assert (ours / "half").read_text() == "half"
        assert hidden(output) == [ours.name]
    assert hidden(output) == []
    assert (output / "7" / "kept").is_file()
    assert (output / "notes" / "x").is_file()


def test_an_unfinished_folder_goes_away_whatever_happens(output):
    def fail():
        with versions.unfinished(output) as folder:
            (folder / "half").write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert hidden(output) == []


def test_a_folder_that_is_swept_before_it_is_locked_is_made_anew(output, monkeypatch):
    lock = versions._lock
    swept = []

    def lock_after_a_sweep(folder, wait):
        if wait and not swept:
            swept.append(folder)
            shutil.rmtree(folder)
        return lock(folder, wait)

    monkeypatch.setattr(versions, "_lock", lock_after_a_sweep)
    with versions.unfinished(output) as folder:
        assert folder.is_dir()
        assert folder not in swept
    assert swept


def test_a_link_is_not_swept(output, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (output / ".incomplete-link").symlink_to(tmp_path / "elsewhere")
    with versions.unfinished(output):
        pass
    assert (tmp_path / "elsewhere").is_dir()
    assert hidden(output) == [".incomplete-link"]
