"""Random architectures by the command."""

import functools
import json

import numpy as np
import pytest

from auto_deeplab.search_space import CellGraph, Genotype, Relaxation, TrellisGraph
from tests.helpers import assert_user_error, run_command, run_python

run = functools.partial(run_command, "auto_deeplab.random_search")


@pytest.fixture
def searched(tmp_path):
    """What a search in a small space has found."""
    cell, trellis = CellGraph(1, ("none", "skip", "sep_conv_3x3")), TrellisGraph(2, (4, 8))
    relaxation = Relaxation(
        cell, trellis, np.zeros((len(cell.edges), 3)), np.zeros(len(trellis.arcs))
    )
    path = tmp_path / "searched.json"
    relaxation.decode("searched", {"relaxation": relaxation.to_json_dict()}).save(path)
    return path


def test_draws_can_be_repeated_and_added_to(tmp_path):
    few, many = tmp_path / "few", tmp_path / "many"
    for folder, count in ((few, 2), (few, 4), (many, 4)):
        done = run(f"--output_dir={folder}", f"--count={count}", "--seed=3")
        assert done.returncode == 0, done.stderr
    texts = [path.read_text() for path in sorted(few.iterdir())]
    assert texts == [path.read_text() for path in sorted(many.iterdir())]
    genotypes = [Genotype.load(path) for path in sorted(few.iterdir())]
    assert [genotype.name for genotype in genotypes] == [f"random_{i}" for i in (1, 2, 3, 4)]
    assert len({(genotype.network, genotype.cell) for genotype in genotypes}) == 4
    assert {(len(genotype.network), len(genotype.cell)) for genotype in genotypes} == {(12, 5)}


def test_a_band_keeps_those_that_the_summary_finds_in_it(searched, tmp_path):
    sizes = (f"--like={searched}", "--filters=4", "--classes=2", "--image_size=33x65")
    all_of_them = tmp_path / "all"
    done = run(
        f"--output_dir={all_of_them}",
        "--count=4",
        "--parameters=0-1B",
        "--multiply_adds=0-1B",
        *sizes,
    )
    assert done.returncode == 0, done.stderr
    drawn = [Genotype.load(all_of_them / f"random_{i}.json") for i in range(1, 5)]
    costs = [genotype.provenance for genotype in drawn]
    assert {op for genotype in drawn for op in (b.op for b in genotype.cell[0])} == {
        "skip",
        "sep_conv_3x3",
    }
    summary = run_python(
        "-m",
        "auto_deeplab.summary",
        "--json",
        f"--genotype={all_of_them / 'random_1.json'}",
        *sizes[1:],
    )
    counted = json.loads(summary.stdout)
    assert {name: counted[name] for name in ("parameters", "multiply_adds")} == {
        name: costs[0][name] for name in ("parameters", "multiply_adds")
    }

    # The same draws within a band are those of all that lie in it.
    least, most = sorted(cost["parameters"] for cost in costs)[1:3]
    inside = [g for g, c in zip(drawn, costs, strict=True) if least <= c["parameters"] <= most]
    assert 0 < len(inside) < len(drawn)
    some = tmp_path / "some"
    done = run(
        f"--output_dir={some}", f"--count={len(inside)}", f"--parameters={least}-{most}", *sizes
    )
    assert done.returncode == 0, done.stderr
    found = [Genotype.load(some / f"random_{i + 1}.json") for i in range(len(inside))]
    assert [(g.network, g.cell) for g in found] == [(g.network, g.cell) for g in inside]

    done = run(f"--output_dir={some}", "--seed=1", f"--parameters={least}-{most}", *sizes)
    assert done.returncode == 1
    assert "random_1.json: exists and was drawn with seed 0, not 1" in done.stderr


def test_a_file_whose_provenance_is_another_is_named(tmp_path):
    path = tmp_path / "random_1.json"
    assert run(f"--output_dir={tmp_path}", "--count=1").returncode == 0
    drawn = Genotype.load(path)
    for change, message in (
        (None, "exists and was drawn with seed None, not 0; expected another"),
        ({"random_search": [1]}, "provenance.random_search: received [1]; expected"),
        ({"draw": "7"}, "provenance.draw: received '7'; expected a whole number >= 1"),
    ):
        provenance = change and drawn.provenance | change
        Genotype(drawn.name, drawn.network, drawn.cell, provenance).save(path, overwrite=True)
        done = run(f"--output_dir={tmp_path}", "--count=1")
        assert done.returncode == 1
        assert done.stderr.startswith(f"error: {path}: {message}")


def test_a_space_that_makes_no_sense_is_named(searched, tmp_path):
    text = searched.read_text()
    searched.write_text(text.replace('"layers": 2', '"layers": 100000'))
    done = run(f"--output_dir={tmp_path / 'none'}", f"--like={searched}")
    assert done.returncode == 1
    assert f"error: {searched}: provenance.relaxation: TrellisGraph.layers: received" in done.stderr


def test_an_empty_band_says_what_there_is(searched, tmp_path):
    done = run(
        f"--output_dir={tmp_path / 'none'}",
        *(f"--like={searched}", "--filters=4", "--classes=2"),
        *("--parameters=1-2K", "--most_draws=2"),
    )
    assert done.returncode == 1
    assert "2 draws in a row missed. --parameters: received 1 to 2,000; these" in done.stderr
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--parameters=3M-2M"], "--parameters: received '3M-2M'; expected LEAST-MOST"),
        (["--multiply_adds=5"], "--multiply_adds: received '5'; expected LEAST-MOST"),
        (["--image_size=5"], "--image_size: received '5'; expected HEIGHTxWIDTH"),
        (["--like=published"], "--like: published does not tell a search space"),
        (["--like=nothing"], "nothing"),
    ],
)
def test_mistakes_are_told(arguments, message, tmp_path):
    done = run(f"--output_dir={tmp_path / 'none'}", *arguments)
    assert_user_error(done, message)
    assert not (tmp_path / "none").exists()


def test_draws_from_everywhere_do_not_take_those_of_a_band_for_theirs(tmp_path):
    assert run(f"--output_dir={tmp_path}", "--count=1").returncode == 0
    done = run(f"--output_dir={tmp_path}", "--count=1", "--parameters=1-2")
    assert done.returncode == 1
    assert "drawn with bands None, not {'parameters': [1.0, 2.0]}" in done.stderr


def test_files_of_other_settings_are_kept(tmp_path):
    path = tmp_path / "random_1.json"
    Genotype.load("published").save(path)
    before = path.read_text()
    done = run(f"--output_dir={tmp_path}", "--count=1")
    assert done.returncode == 1
    assert "random_1.json: exists and was drawn with seed None, not 0" in done.stderr
    assert path.read_text() == before
