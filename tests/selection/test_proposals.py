"""What proposals do with given architectures, and with those that a supernet puts first."""

import random

import pytest

from auto_deeplab.foundations import json_files
from auto_deeplab.foundations.errors import UserError
from auto_deeplab.search_space import (
    Branch,
    CellGraph,
    Genotype,
    Relaxation,
    TrellisGraph,
    numbered_draw,
    sample_genotype,
)
from auto_deeplab.selection.given import Given, load_given
from auto_deeplab.selection.proposals import Proposals
from auto_deeplab.selection.settings import Selection
from auto_deeplab.selection.shared_weights import best_draws
from tests.selection.fakes import CELL, TRELLIS, Costs, truth


def sampled(count, seed=0):
    generator = random.Random(seed)
    return [sample_genotype(f"found_{n}", CELL, TRELLIS, generator) for n in range(count)]


def test_given_ones_that_are_too_dear_are_left_out_and_told_once():
    lines = []
    genotypes = sampled(20)
    costs = Costs(most=2)
    affordable = [each for each in genotypes if costs.are_within(costs.count(each))]
    assert 0 < len(affordable) < 20
    given = [Given(each, "given", f"{each.name}.json") for each in genotypes]
    settings = Selection(random_share=0.5)
    proposals = Proposals(settings, CELL, TRELLIS, costs, given, tell=lines.append)
    assert proposals.size([], 9) == max(9, 2 * len(affordable))
    assert proposals.next([], 0, 9).genotype == affordable[0]
    assert len(lines) == 20 - len(affordable)
    assert lines[0].startswith("left out: found_")


def test_a_cell_with_its_branches_in_another_order_is_no_other_one():
    genotype = sampled(1)[0]
    (left, right), *others = genotype.cell
    turned = Genotype("turned", genotype.network, ((right, left), *others))
    given = [Given(genotype, "given", "a"), Given(turned, "given", "b")]
    proposals = Proposals(Selection(random_share=0.5), CELL, TRELLIS, Costs(), given)
    assert proposals.size([], 1) == 2
    assert proposals.next([], 0, 2).source == "a"


def test_random_draws_are_those_of_random_search():
    proposals = Proposals(Selection(seed=4), CELL, TRELLIS, Costs(), ())
    drawn = proposals.next([], 0, 9)
    assert drawn.genotype == numbered_draw("random_1", CELL, TRELLIS, 4, 1)
    later = Proposals(Selection(seed=4), CELL, TRELLIS, Costs(), (), first_draw=301)
    assert later.next([], 0, 9).source == "301"


def test_the_space_is_that_of_a_search_or_of_the_settings():
    cell, trellis = CellGraph(1, ("none", "skip", "sep_conv_3x3")), TrellisGraph(2, (4, 8))
    relaxation = Relaxation(cell, trellis, [[0.0] * 3] * 2, [0.0] * len(trellis.arcs))
    searched = relaxation.decode("searched", {"relaxation": relaxation.to_json_dict()})
    assert Selection().space([]) == (CellGraph(), TrellisGraph())
    assert Selection().space([*sampled(1), searched]) == (cell, trellis)
    assert Selection(blocks=3, layers=5).space([searched]) == (
        CellGraph(3, cell.operations),
        TrellisGraph(5, trellis.strides),
    )


@pytest.mark.parametrize(
    ("steps", "values", "lengths"),
    [
        (600, {}, (67, 200, 600)),
        (90, {"eta": 2, "rungs": 4}, (11, 22, 45, 90)),
        (1, {"rungs": 1}, (1,)),
    ],
)
def test_rungs_are_as_long_as_their_share(steps, values, lengths):
    assert Selection(**values).rung_steps(steps) == lengths


def test_too_few_steps_are_refused():
    with pytest.raises(UserError, match=r"Selection.rungs: received 3 .* rungs of 0, 1, 4 steps"):
        Selection().rung_steps(4)


def test_what_a_supernet_puts_first_takes_part_and_is_measured_once(tmp_path):
    settings = Selection(shared_weights_draws=30, shared_weights_taken=4, shared_weights_images=7)
    draws = [numbered_draw(f"random_{n}", CELL, TRELLIS, 0, n) for n in range(1, 31)]
    path = tmp_path / "shared_weights.json"
    asked = []

    def measure(genotypes, images):
        asked.append((list(genotypes), images))
        return [truth(each) for each in genotypes]

    def is_affordable(genotype):
        return genotype.network[-1] != 16

    arguments = (settings, CELL, TRELLIS, path)
    found = best_draws(*arguments, measure, is_affordable)
    expected = sorted(filter(is_affordable, draws), key=truth, reverse=True)[:4]
    assert [truth(each.genotype) for each in found] == [truth(each) for each in expected]
    assert all(is_affordable(each.genotype) for each in found)
    assert {each.origin for each in found} == {"shared_weights"}
    assert asked == [(draws, 7)]
    again = best_draws(*arguments, lambda *_: pytest.fail("measured again"), is_affordable)
    assert again == found
    assert len(json_files.read(path)) == 30
    path.write_text('[{"draw": 31, "mean_iou": 0.5, "taken": true}]')
    with pytest.raises(UserError, match="received a score of draw 31; expected draws 1 to 30"):
        best_draws(*arguments, measure, is_affordable)


def test_given_ones_are_read_from_files_and_folders(tmp_path):
    block = Branch("prev_prev", "skip"), Branch("prev", "skip")
    for name in ("search", "trials/seed_0", "trials/seed_1", "drawn"):
        (tmp_path / name).mkdir(parents=True)
        file = f"{name}/{'random_1' if name == 'drawn' else 'genotype'}.json"
        Genotype(name, (4,), (block,)).save(tmp_path / file)
    (tmp_path / "trials" / "other").mkdir()
    paths = [str(tmp_path / name) for name in ("search", "trials", "drawn")]
    given = load_given([*paths, "published", str(tmp_path / "search" / "genotype.json")])
    assert [each.genotype.name for each in given] == [
        "search",
        "trials/seed_0",
        "trials/seed_1",
        "drawn",
        Genotype.load("published").name,
        "search",
    ]
    with pytest.raises(UserError, match=r"genotypes: received .*other; expected a folder with"):
        load_given([str(tmp_path / "trials" / "other")])
