"""Whole selections with stand-ins for trainings: what they find, and what interrupts them."""

import os
import random
import threading
import time

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState

from auto_deeplab.foundations.claims import Claims
from auto_deeplab.foundations.errors import UserError
from auto_deeplab.runs.selection import best_candidate
from auto_deeplab.search_space import Branch, Genotype, sample_genotype
from auto_deeplab.selection.budget import TimeBudget
from auto_deeplab.selection.given import Given
from auto_deeplab.selection.proposals import Proposals, signature_of
from auto_deeplab.selection.study import CandidateStudy
from auto_deeplab.selection.work import Worker
from tests.selection.fakes import (
    CELL,
    STEPS,
    TRELLIS,
    Costs,
    FakeSelection,
    measured,
    truth,
)

BEST = Genotype(
    "planted",
    (8, 8, 8),
    (
        (Branch("prev_prev", "sep_conv_5x5"), Branch("prev", "sep_conv_5x5")),
        (Branch("prev", "sep_conv_5x5"), Branch("block1", "sep_conv_5x5")),
    ),
)


@pytest.fixture(autouse=True)
def no_disk(monkeypatch):
    """Optuna's journal waits for the disk at each line, and these have thousands."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


def outcome(selection):
    """All that is known of a selection's candidates."""
    return [candidate.model_dump() for candidate in selection.candidates()]


def test_a_planted_best_one_is_found(tmp_path):
    selection = FakeSelection(tmp_path, given=[Given(BEST, "given", "planted.json")], spread=0.1)
    selection.work()
    best = best_candidate(selection.candidates())
    assert best.genotype == BEST
    assert (best.origin, best.state) == ("given", "finished")


@pytest.mark.parametrize("seed", range(5))
def test_the_result_is_the_best_survivor_and_each_rung_keeps_its_best_third(tmp_path, seed):
    selection = FakeSelection(tmp_path, trainings=9, spread=0.2, seed=seed)
    selection.work()
    candidates = selection.candidates()
    assert sorted(selection.trained) == sorted(
        (each.number, rung) for each in candidates for rung in range(len(each.rungs))
    )
    brackets = {each.bracket for each in candidates}
    assert brackets == {0, 1, 2}
    for bracket in brackets:
        members = [each for each in candidates if each.bracket == bracket]
        assert [sum(len(each.rungs) > rung for each in members) for rung in range(3)] == [9, 3, 1]
        for rung in range(2):
            in_rung = [each for each in members if len(each.rungs) > rung]
            went_on = [each.rungs[rung].mean_iou for each in in_rung if len(each.rungs) > rung + 1]
            stayed = [each.rungs[rung].mean_iou for each in in_rung if len(each.rungs) == rung + 1]
            assert min(went_on) >= max(stayed)
    assert sum(result.steps for each in candidates for result in each.rungs) == 9 * STEPS[-1]
    best = best_candidate(candidates)
    finished = [each for each in candidates if len(each.rungs) == 3]
    assert best.mean_iou == max(each.mean_iou for each in finished)
    # Chance's floor: no random draw that survived its first rung and was trained whole is better.
    random_ones = [each.mean_iou for each in finished if each.origin == "random"]
    assert best.mean_iou >= max(random_ones)


def test_random_draws_are_in_each_bracket_and_no_architecture_is_trained_twice(tmp_path):
    selection = FakeSelection(tmp_path, trainings=12)
    selection.work()
    candidates = selection.candidates()
    assert len({signature_of(each.genotype) for each in candidates}) == len(candidates) == 36
    origins = {
        bracket: [each.origin for each in candidates if each.bracket == bracket]
        for bracket in range(4)
    }
    assert origins[0] == ["random"] * 9
    assert all(origins[bracket] == ["random"] * 3 + ["surrogate"] * 6 for bracket in (1, 2, 3))


def test_it_beats_chance_at_the_same_cost(tmp_path):
    """By the truth about what is found, and what is expected of so many random draws."""
    generator = random.Random(0)
    drawn = [truth(sample_genotype("random", CELL, TRELLIS, generator)) for _ in range(12 * 200)]
    by_chance = np.array(drawn).reshape(200, 12).max(axis=1)
    found = []
    for seed in range(3):
        selection = FakeSelection(tmp_path / str(seed), trainings=12, spread=0.05, seed=seed)
        selection.work()
        found.append(truth(best_candidate(selection.candidates()).genotype))
    assert np.mean(found) > by_chance.mean()


@pytest.mark.parametrize("after", [0, 1, 9, 11, 13, 20])
def test_an_interrupted_selection_ends_as_one_that_was_not(tmp_path, after):
    whole = FakeSelection(tmp_path / "whole", spread=0.1)
    whole.work()
    interrupted = FakeSelection(tmp_path / "interrupted", spread=0.1)
    interrupted.work_until_killed(after)
    assert len(interrupted.trained) == after
    interrupted.work()
    assert interrupted.trained == whole.trained
    assert outcome(interrupted) == outcome(whole)


def test_a_bracket_that_was_being_drawn_is_drawn_to_its_end(tmp_path):
    whole = FakeSelection(tmp_path / "whole")
    whole.work()

    class Fragile(Costs):
        def count(self, genotype):
            if len(self.counted) == 12:
                raise KeyboardInterrupt
            return super().count(genotype)

    interrupted = FakeSelection(tmp_path / "interrupted", costs=Fragile())
    with pytest.raises(KeyboardInterrupt):
        interrupted.work()
    assert 9 < len(interrupted.candidates()) < 18
    interrupted.costs = Costs()
    interrupted.work()
    assert outcome(interrupted) == outcome(whole)


def test_a_larger_budget_goes_on(tmp_path):
    once = FakeSelection(tmp_path / "once", trainings=6)
    once.work()
    twice = FakeSelection(tmp_path / "twice", trainings=3)
    twice.work()
    assert len(twice.trained) == 13
    twice.work()
    assert len(twice.trained) == 13
    twice.budgets = once.budgets
    twice.work()
    assert outcome(twice) == outcome(once)


@pytest.mark.parametrize("trainings", [1.5, 2, 2.5, 4, 5.2])
def test_what_is_left_of_a_budget_leads_a_candidate_to_the_end(tmp_path, trainings):
    selection = FakeSelection(tmp_path, trainings=trainings)
    selection.work()
    candidates = selection.candidates()
    steps = sum(result.steps for each in candidates for result in each.rungs)
    # Less is left than a candidate needs for all rungs.
    assert 0 <= trainings * STEPS[-1] - steps < sum(STEPS)
    finished = [each for each in candidates if each.state == "finished"]
    brackets, rest = divmod(trainings * STEPS[-1], 3 * STEPS[-1])
    assert len(finished) == brackets + (rest >= sum(STEPS))
    assert best_candidate(candidates) in finished
    assert not [each for each in candidates if each.state in ("waiting", "running")]


def test_workers_share_a_study_and_train_each_once(tmp_path):
    alone = FakeSelection(tmp_path / "alone", trainings=3)
    alone.work()
    shared = FakeSelection(tmp_path / "shared", trainings=3)

    def slowly(candidate, rung):
        time.sleep(0.01)
        return shared.train(candidate, rung)

    workers = [threading.Thread(target=shared.work, args=(slowly,)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sorted(shared.trained) == sorted(alone.trained)
    assert outcome(shared) == outcome(alone)
    assert not Claims(shared.folder / "claims").claimed()
    assert len(shared.study().sessions()) == 2


def test_the_candidate_of_a_killed_worker_is_taken_up(tmp_path):
    selection = FakeSelection(tmp_path, trainings=3)
    selection.work_until_killed(4)
    claim = tmp_path / "claims" / "candidate_4-rung_0"
    claim.write_text("a host that is gone 1\n")
    selection.stale_seconds = 0.5
    started = time.monotonic()
    selection.work()
    # Until then it might have been alive.
    assert time.monotonic() - started > 0.3
    assert selection.trained.index((4, 0)) == 8
    assert len(selection.trained) == 13
    assert not claim.exists()


def test_given_ones_take_part_and_random_ones_beside_them(tmp_path):
    generator = random.Random(5)
    genotypes = [sample_genotype(f"found_{n}", CELL, TRELLIS, generator) for n in range(12)]
    given = [Given(each, "given", f"{each.name}.json") for each in (*genotypes, genotypes[0])]
    selection = FakeSelection(tmp_path, trainings=4, given=given)
    selection.work()
    first = [each for each in selection.candidates() if each.bracket == 0]
    assert [each.origin for each in first] == ["given"] * 12 + ["random"] * 6
    assert [each.genotype for each in first[:12]] == genotypes


def test_candidates_stay_within_the_band(tmp_path):
    given = [Given(BEST, "given", "planted.json")]
    selection = FakeSelection(tmp_path, given=given, costs=Costs(most=2))
    selection.work()
    candidates = selection.candidates()
    assert {each.origin for each in candidates} == {"random", "surrogate"}
    assert max(each.parameters for each in candidates) == 2
    assert all(each.multiply_adds == 10 * each.parameters for each in candidates)
    impossible = FakeSelection(tmp_path / "impossible", costs=Costs(most=-1))
    with pytest.raises(UserError, match=r"draws in a row missed. max_parameters: received -1"):
        impossible.work()


def test_a_space_with_few_architectures_is_searched_to_its_end(tmp_path):
    class Dear(Costs):
        """Allows one path and, of 4 operations, none but skips."""

        def are_within(self, costs):
            return costs["parameters"] == 0

    selection = FakeSelection(tmp_path, trainings=1000, costs=Dear())
    # 13 paths, and 3 pairs of inputs of the second block.
    selection.work()
    expected = TRELLIS.count_paths() * 3
    assert len(selection.candidates()) == expected
    assert selection.study().is_exhausted


def test_time_limits_it_too(tmp_path):
    clock = [1000.0]
    selection = FakeSelection(tmp_path)
    selection.budgets = [TimeBudget(40)]

    def train(candidate, rung):
        clock[0] += STEPS[rung] / 10
        return selection.train(candidate, rung)

    Worker(
        selection.study(),
        Claims(tmp_path / "claims"),
        Proposals(selection.settings, CELL, TRELLIS, selection.costs, ()),
        selection.budgets,
        STEPS,
        3,
        train,
        selection.published.append,
        selection.lines.append,
        now=lambda: clock[0],
    ).work()
    # A bracket takes 27 seconds; what is left suffices for a candidate through all rungs.
    assert clock[0] - 1000 == 27 + 13
    assert len([each for each in selection.candidates() if each.state == "finished"]) == 2
    assert "40 s of 40 s" in selection.lines[-1]


def test_a_training_that_diverges_is_the_worst(tmp_path):
    selection = FakeSelection(tmp_path, trainings=3)

    def train(candidate, rung):
        result = selection.train(candidate, rung)
        if candidate.number % 2:
            return result.model_copy(update={"mean_iou": 0.0, "failure": "diverged"})
        return result

    selection.work(train)
    candidates = selection.candidates()
    assert best_candidate(candidates).number % 2 == 0
    assert [each.number for each in candidates if each.rungs[0].failure] == [1, 3, 5, 7]
    assert "diverged" in selection.lines[1]


def test_progress_is_told(tmp_path):
    selection = FakeSelection(tmp_path, trainings=3)
    selection.work()
    first, last = selection.lines[0], selection.lines[-1]
    assert first.startswith("random_1, rung 1 of 3 (10 steps): mIOU ")
    assert "1 candidates, 0.111 of 3 trainings" in first
    # 2 8/9 trainings of 9 seconds each.
    assert first.endswith("about 26 s left with 1 worker")
    assert "rung 3 of 3 (90 steps)" in last
    assert "9 candidates, 3 of 3 trainings; about 0 s left" in last


def test_optuna_shows_the_study(tmp_path):
    selection = FakeSelection(tmp_path, trainings=3)
    selection.work()
    study = optuna.load_study(
        study_name="fake",
        storage=optuna.storages.JournalStorage(
            optuna.storages.journal.JournalFileBackend(str(tmp_path / "study.journal"))
        ),
    )
    best = best_candidate(selection.candidates())
    assert study.best_trial.number == best.number
    assert study.best_value == best.mean_iou == measured(best, 2).mean_iou
    assert study.best_trial.intermediate_values == {
        steps: measured(best, rung).mean_iou for rung, steps in enumerate(STEPS)
    }
    assert [study.best_params[f"layer_{n}_stride"] for n in (1, 2, 3)] == list(best.network)
    left, right = best.cell[1]
    assert study.best_params["block_2_left_input"] == left[0]
    assert study.best_params["block_2_right_operation"] == right[1]
    states = [trial.state for trial in study.trials]
    assert states.count(TrialState.PRUNED) == 8
    assert states.count(TrialState.COMPLETE) == 1


def test_a_database_keeps_a_study_as_well(tmp_path):
    in_file = FakeSelection(tmp_path / "file", trainings=3)
    in_file.work()
    in_database = FakeSelection(tmp_path, trainings=3)
    url = f"sqlite:///{tmp_path / 'study.db'}"
    in_database.study = lambda: CandidateStudy(url, "fake", CELL, TRELLIS)
    in_database.work()
    assert outcome(in_database) == outcome(in_file)


@pytest.mark.parametrize(
    ("trainings", "sizes"), [(3, [9]), (6, [18]), (8.9, [18, 9]), (9, [27]), (15, [27, 18])]
)
def test_brackets_are_as_large_as_the_budget_allows(tmp_path, trainings, sizes):
    selection = FakeSelection(tmp_path, trainings=trainings, bracket=27)
    selection.work()
    assert selection.study().sizes() == sizes
    finished = [each for each in selection.candidates() if each.state == "finished"]
    assert len(finished) == sum(size // 9 for size in sizes)


@pytest.mark.parametrize("storage", ["nothing://host/database", "/dev/null/study.journal"])
def test_a_storage_that_is_none_is_named(storage):
    with pytest.raises(UserError, match=f"storage: received '{storage}', which cannot be used"):
        CandidateStudy(storage, "fake", CELL, TRELLIS)
