import functools
import importlib.util

import pytest

from auto_deeplab.data.conversion.beam import write_shards_with_beam
from auto_deeplab.data.conversion.engine import convert
from auto_deeplab.foundations.errors import UserError
from tests.helpers import contents

_has_beam = importlib.util.find_spec("apache_beam") is not None
needs_beam = pytest.mark.skipif(
    not _has_beam,
    reason="needs Apache Beam, which allows only older packages than requirements.lock has: "
    "see requirements-beam.txt",
)
_direct = functools.partial(
    write_shards_with_beam, "DirectRunner", ["--direct_running_mode=in_memory"]
)


@needs_beam
def test_a_pipeline_writes_the_same_bytes(conversion, tmp_path):
    convert(conversion, tmp_path / "threads", progress=False)
    convert(conversion, tmp_path / "beam", write_shards=_direct)
    assert contents(tmp_path / "beam") == contents(tmp_path / "threads")


@needs_beam
def test_a_pipeline_gathers_problems_and_continues(conversion, tmp_path):
    images = [conversion.splits[split][1].image for split in ("train", "val")]
    good = [image.read_bytes() for image in images]
    for image in images:
        image.write_bytes(b"")
    output = tmp_path / "output"
    with pytest.raises(UserError) as error:
        convert(conversion, output, write_shards=_direct)
    assert "2 problems with the input, nothing written" in str(error.value)
    assert not output.exists()
    assert len(list((tmp_path / "output.partial").glob("*.tfrecord"))) == 2
    for image, data in zip(images, good, strict=True):
        image.write_bytes(data)
    convert(conversion, output, write_shards=_direct)
    convert(conversion, tmp_path / "threads", progress=False)
    assert contents(output) == contents(tmp_path / "threads")


@needs_beam
def test_an_unknown_runner_is_explained(conversion, tmp_path):
    write_shards = functools.partial(write_shards_with_beam, "DirctRunner", [])
    with pytest.raises(UserError, match="runner='DirctRunner'"):
        convert(conversion, tmp_path / "output", write_shards=write_shards)


@pytest.mark.skipif(_has_beam, reason="Apache Beam is installed")
def test_without_beam_the_message_says_how_to_install_it(conversion, tmp_path):
    with pytest.raises(UserError, match=r"runner='DirectRunner': .*requirements-beam\.txt"):
        convert(conversion, tmp_path / "output", write_shards=_direct)
    assert not (tmp_path / "output").exists()
