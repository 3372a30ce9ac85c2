"""The inspect command as a user runs it, on a small dataset."""

import functools
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from tests.helpers import run_command

run = functools.partial(run_command, "auto_deeplab.inspect_dataset")


@pytest.fixture
def dataset(colored_dataset, tmp_path):
    return shutil.copytree(colored_dataset, tmp_path / "colored")


def test_tables_and_contact_sheet(dataset):
    done = run(dataset)
    assert done.returncode == 0, done.stderr
    for text in ("train", "val", "36 x 44: 9", "png: 2", "red", "green", "blue"):
        assert text in done.stdout
    sheet = dataset / "contact_sheet.png"
    assert f"contact sheet written to {sheet}" in done.stdout.replace("\n", "")
    assert np.asarray(Image.open(sheet)).shape[2] == 3


def test_a_corrupt_record_is_an_error_unless_ignored(dataset):
    sheet = dataset / "contact_sheet.png"
    sheet.write_bytes(b"kept")
    shard = dataset / "val-00000-of-00001.tfrecord"
    content = bytearray(shard.read_bytes())
    content[-10] ^= 255
    shard.write_bytes(content)
    done = run(dataset, "--splits=val", "--json")
    ignored = run(dataset, "--splits=val", "--json", "--ignore_corrupt")
    assert done.returncode == 1
    assert f"{shard}: record 1: has another checksum" in done.stderr
    assert ignored.returncode == 0, ignored.stderr
    assert ignored.stdout == done.stdout
    (found,) = json.loads(ignored.stdout)["splits"].values()
    assert found["examples"] == 1
    assert found["examples_described"] == 2
    assert [(c["path"], c["record"]) for c in found["corrupt"]] == [(str(shard), 1)]
    assert sheet.read_bytes() == b"kept"


def test_mistakes_are_explained(dataset, tmp_path):
    taken = tmp_path / "taken.png"
    taken.write_bytes(b"kept")
    for arguments, message in (
        ((), "expected DATASET_DIR"),
        ((tmp_path / "nothing",), "dataset.json: does not exist"),
        ((dataset, "--splits=vall"), "split: received 'vall', which the dataset "),
        ((dataset, "--scales=1,x"), "--scales: received '1,x'; expected positive numbers"),
        (
            (dataset, f"--contact_sheet={taken}"),
            "taken.png: exists already; expected another --contact_sheet",
        ),
    ):
        done = run(*arguments)
        assert done.returncode == 1, arguments
        assert message in done.stderr + done.stdout, done.stderr
        assert "Traceback" not in done.stderr
    assert taken.read_bytes() == b"kept"
