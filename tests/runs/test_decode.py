import json

import numpy as np
import pytest

from auto_deeplab.foundations.errors import UserError
from auto_deeplab.runs.decode import decode_model_dir, read_epoch
from auto_deeplab.search_space import (
    CellGraph,
    Genotype,
    Relaxation,
    TrellisGraph,
    append_history,
    searched_relaxation,
)

CONFIG = """
search.seed = 3
search.epochs = 2
street_scenes.seed = 11
"""


@pytest.fixture
def model_dir(tmp_path):
    folder = tmp_path / "my_search"
    folder.mkdir()
    (folder / "config.gin").write_text(CONFIG)
    generator = np.random.default_rng(0)
    cell, trellis = CellGraph(3), TrellisGraph(4)
    for epoch in (1, 2):
        relaxation = Relaxation(
            cell,
            trellis,
            generator.normal(size=(len(cell.edges), len(cell.operations))),
            generator.normal(size=len(trellis.arcs)),
        )
        append_history(folder / "architecture.jsonl", epoch, 50 * epoch, relaxation)
    return folder


def test_the_last_epoch_is_decoded_with_its_provenance(model_dir):
    decoded = decode_model_dir(model_dir)
    last = read_epoch(model_dir)
    genotype = Genotype.load(model_dir / "genotype.json")
    assert decoded.genotype == genotype
    assert (decoded.path, decoded.written) == (model_dir / "genotype.json", True)
    assert last.epoch == 2
    expected = last.relaxation.decode("my_search")
    assert (genotype.name, genotype.network, genotype.cell) == (
        "my_search",
        expected.network,
        expected.cell,
    )
    provenance = genotype.provenance
    assert (provenance["epoch"], provenance["step"]) == (2, 100)
    assert provenance["seeds"] == {"search.seed": 3, "street_scenes.seed": 11}
    assert provenance["gin_config"] == CONFIG
    assert provenance["packages"]["numpy"] == np.__version__
    again = searched_relaxation(genotype)
    assert np.array_equal(again.alpha, last.relaxation.alpha)
    assert np.array_equal(again.beta, last.relaxation.beta)
    assert again.decode("x").network == genotype.network


def test_another_epoch_name_and_file(model_dir, tmp_path):
    output = tmp_path / "first.json"
    decoded = decode_model_dir(model_dir, epoch=1, output=output, name="first")
    assert decoded.genotype.network == read_epoch(model_dir, 1).relaxation.decode("x").network
    assert Genotype.load(output).name == "first"
    assert not (model_dir / "genotype.json").exists()


def test_decoding_again_changes_nothing(model_dir):
    decode_model_dir(model_dir)
    before = (model_dir / "genotype.json").stat()
    assert not decode_model_dir(model_dir).written
    assert (model_dir / "genotype.json").stat() == before


def test_a_search_that_allows_few_skips_is_decoded_so(model_dir, tmp_path):
    """By whoever decodes it, unless that one allows another number."""
    relaxation = read_epoch(model_dir).relaxation
    skips = relaxation.cell.operations.index("skip")
    alpha = relaxation.alpha + 5 * np.eye(8)[skips]
    searched = Relaxation(relaxation.cell, relaxation.trellis, alpha, relaxation.beta)
    append_history(model_dir / "architecture.jsonl", 3, 150, searched)

    def skips_of(genotype):
        return [branch.op for block in genotype.cell for branch in block].count("skip")

    assert skips_of(decode_model_dir(model_dir, output=tmp_path / "all.json").genotype) == 6
    (model_dir / "config.gin").write_text(CONFIG + "Search.most_skips = 2\n")
    decoded = decode_model_dir(model_dir).genotype
    assert skips_of(decoded) == 2
    assert decoded.provenance["most_skips"] == 2
    assert decoded.cell == searched.decode("x", most_skips=2).cell
    none = decode_model_dir(model_dir, output=tmp_path / "none.json", most_skips=0).genotype
    assert (skips_of(none), none.provenance["most_skips"]) == (0, 0)
    (model_dir / "config.gin").write_text(CONFIG + "Search.most_skips = 'two'\n")
    with pytest.raises(UserError, match=r"Search\.most_skips: received 'two'; expected a whole"):
        decode_model_dir(model_dir)


def test_another_result_is_only_replaced_when_asked(model_dir):
    decode_model_dir(model_dir, epoch=1)
    before = (model_dir / "genotype.json").read_text()
    with pytest.raises(UserError, match=r"genotype\.json: exists already and differs"):
        decode_model_dir(model_dir)
    assert (model_dir / "genotype.json").read_text() == before
    assert decode_model_dir(model_dir, overwrite=True).written
    assert json.loads((model_dir / "genotype.json").read_text())["provenance"]["epoch"] == 2


def test_a_search_without_config(model_dir):
    (model_dir / "config.gin").unlink()
    assert "gin_config" not in decode_model_dir(model_dir).genotype.provenance


def test_wrong_requests(model_dir, tmp_path):
    with pytest.raises(UserError, match=r"epoch: received 7; .* has the epochs 1 to 2"):
        decode_model_dir(model_dir, epoch=7)
    with pytest.raises(UserError, match=r"model_dir: received .*nowhere"):
        decode_model_dir(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"architecture\.jsonl: no such file"):
        decode_model_dir(tmp_path)
    (tmp_path / "architecture.jsonl").write_text("")
    with pytest.raises(UserError, match="holds no epoch yet"):
        decode_model_dir(tmp_path)


def test_a_genotype_without_searched_values():
    assert searched_relaxation(Genotype.load("published")) is None
    broken = Genotype("mine", [4], [[("prev", "skip")] * 2], {"relaxation": {"beta": []}})
    with pytest.raises(UserError, match=r"mine: provenance\.relaxation: blocks: .*missing"):
        searched_relaxation(broken)
