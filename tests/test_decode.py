import functools
import re
import time

import pytest

from auto_deeplab.search_space import (
    OPERATIONS,
    CellGraph,
    Genotype,
    TrellisGraph,
    append_history,
    decode_cell,
    decode_network,
    diagnose,
)
from tests.architectures import random_relaxation
from tests.helpers import output_of, run_command, run_without_slow_imports

decode = functools.partial(run_command, "auto_deeplab.decode")


@pytest.fixture
def model_dir(tmp_path):
    for epoch in (1, 2):
        relaxation = random_relaxation(epoch, blocks=5, layers=12, operations=OPERATIONS)
        append_history(tmp_path / "architecture.jsonl", epoch, 10 * epoch, relaxation)
    return tmp_path, relaxation


def test_decode_writes_and_prints(model_dir):
    folder, relaxation = model_dir
    result = decode(f"--model_dir={folder}")
    assert result.returncode == 0, result.stderr
    genotype = Genotype.load(folder / "genotype.json")
    assert genotype.network == decode_network(relaxation.beta, TrellisGraph())
    assert genotype.cell == decode_cell(relaxation.alpha, CellGraph())
    for branches in genotype.cell:
        for branch in branches:
            assert branch.input in result.stdout
            assert branch.op in result.stdout
    assert result.stdout.count("●") == 13
    skips = diagnose(relaxation).skip_branches
    assert re.search(rf"^  skip branches +{skips}$", result.stdout, re.MULTILINE)
    assert f"Epoch 2, step 20: written to {folder}/genotype.json" in result.stdout

    again = decode(f"--model_dir={folder}")
    assert again.returncode == 0
    assert f"already in {folder}/genotype.json" in again.stdout

    other = decode(f"--model_dir={folder}", "--epoch=1")
    assert other.returncode == 1
    assert other.stderr.startswith(f"error: {folder}/genotype.json: exists already and differs")
    assert Genotype.load(folder / "genotype.json") == genotype

    forced = decode(f"--model_dir={folder}", "--epoch=1", "--overwrite")
    assert forced.returncode == 0, forced.stderr
    assert Genotype.load(folder / "genotype.json").provenance["epoch"] == 1

    printed = decode(f"--genotype={folder}/genotype.json")
    assert printed.returncode == 0
    assert forced.stdout.startswith(printed.stdout)


def test_the_skips_can_be_limited(model_dir):
    folder, relaxation = model_dir
    assert diagnose(relaxation).skip_branches > 0
    result = decode(f"--model_dir={folder}", "--most_skips=0")
    assert result.returncode == 0, result.stderr
    cell = Genotype.load(folder / "genotype.json").cell
    assert cell == decode_cell(relaxation.alpha, CellGraph(), most_skips=0)
    assert not [branch for block in cell for branch in block if branch.op == "skip"]


def test_published_is_printed():
    result = decode("--genotype=published")
    assert result.returncode == 0
    assert "atrous_conv_5x5" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "received nothing; expected either --model_dir=DIR or --genotype=NAME_OR_FILE"),
        (["--genotype=published", "--model_dir=x"], "received both; expected either"),
        (["--genotype=publishd"], "did you mean published?"),
        (["--genotype=published", "--epoch=3"], "--epoch: received with --genotype; ex"),
        (["--genotype=published", "--by=alpha"], "--by: received with --genotype; expected"),
        (["--model_dir=x", "--images=3"], "--images: received with --by=alpha; expected with"),
        (["--model_dir=nowhere"], "error: --model_dir: received 'nowhere', which is no folder"),
    ],
)
def test_mistakes_are_one_line(arguments, message):
    result = decode(*arguments)
    assert result.returncode == 1
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_help_is_quick():
    start = time.perf_counter()
    result = decode("--help")
    assert time.perf_counter() - start < 3
    assert result.returncode == 0
    assert "python -m auto_deeplab.decode --model_dir" in result.stdout
    assert "--genotype" in result.stdout


def test_decode_needs_no_tensorflow():
    done = run_without_slow_imports("auto_deeplab.decode", "--genotype=published")
    assert "Architecture 'published'" in output_of(done)
