"""Decisions for any number of workers that finish in any order, without anything but numbers."""

import itertools
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from auto_deeplab.runs.selection import Candidate, RungResult
from auto_deeplab.selection import halving
from auto_deeplab.selection.budget import Progress, TrainingsBudget

STEPS = (10, 30, 90)


def new_candidate(number, bracket):
    return Candidate(
        number=number,
        name=f"random_{number}",
        network=(4,),
        cell=((("prev_prev", "skip"), ("prev", "skip")),),
        origin="random",
        bracket=bracket,
        parameters=1,
        multiply_adds=1,
    )


class Simulation:
    """Workers that train for as long as chance wants."""

    def __init__(self, trainings, most, eta, workers, seed):
        self.budget, self.most, self.eta = TrainingsBudget(trainings), most, eta
        self.workers, self.random = workers, random.Random(seed)
        self.candidates, self.sizes, self.running, self.trained = [], [], [], []

    def decide(self):
        progress = Progress(self.candidates, [rung for _, rung in self.running], [], STEPS)
        return halving.decide(
            self.candidates,
            set(self.running),
            self.sizes,
            self.most,
            len(STEPS),
            self.eta,
            lambda rung, reserved: self.budget.affords(progress, rung, reserved),
        )

    def change(self, candidate, **values):
        self.candidates[candidate.number] = candidate.model_copy(update=values)

    def finish_one(self):
        number, rung = self.running.pop(self.random.randrange(len(self.running)))
        candidate = self.candidates[number]
        result = RungResult(
            steps=STEPS[rung],
            seed=0,
            mean_iou=self.random.random(),
            pixel_accuracy=0.5,
            seconds=1,
        )
        self.change(candidate, rungs=(*candidate.rungs, result))
        self.trained.append((number, rung))

    def run(self):
        while True:
            match self.decide():
                case halving.Train(candidate, rung):
                    self.change(candidate, state="running")
                    self.running.append((candidate.number, rung))
                    while len(self.running) == self.workers or (
                        self.running and self.random.random() < 0.5
                    ):
                        self.finish_one()
                case halving.Eliminate(beaten):
                    for each in beaten:
                        self.change(each, state="eliminated")
                case halving.Finish(candidate):
                    self.change(candidate, state="finished")
                case halving.Propose(bracket, size):
                    if bracket == len(self.sizes):
                        self.sizes.append(size)
                    self.candidates.append(new_candidate(len(self.candidates), bracket))
                case halving.Wait():
                    self.finish_one()
                case halving.Stop():
                    return self


@settings(max_examples=150, deadline=None)
@given(
    trainings=st.floats(0.5, 20),
    most=st.integers(1, 30),
    eta=st.integers(2, 4),
    workers=st.integers(1, 4),
    seed=st.integers(0, 2**32),
)
def test_whatever_workers_do_the_budget_is_kept_and_nothing_is_left_open(
    trainings, most, eta, workers, seed
):
    done = Simulation(trainings, most, eta, workers, seed).run()
    assert not done.running
    assert len(set(done.trained)) == len(done.trained)
    left = round(trainings * STEPS[-1]) - sum(STEPS[rung] for _, rung in done.trained)
    # What is left does not lead another candidate through all rungs.
    assert 0 <= left < sum(STEPS)
    for bracket, size in enumerate(done.sizes):
        members = [each for each in done.candidates if each.bracket == bracket]
        assert len(members) == size
        counts = [sum(len(each.rungs) > rung for each in members) for rung in range(len(STEPS))]
        # Each bracket brings at least one candidate to its end, and never more than its share.
        assert counts[-1] >= 1
        for shorter, longer in itertools.pairwise(counts):
            assert longer <= max(1, shorter // eta)
        for rung in range(len(STEPS) - 1):
            went_on = [each.rungs[rung].mean_iou for each in members if len(each.rungs) > rung + 1]
            stayed = [each.rungs[rung].mean_iou for each in members if len(each.rungs) == rung + 1]
            # Where the budget ended, not all that might have gone on did.
            if counts[rung + 1] == max(1, counts[rung] // eta):
                assert min(went_on) >= max(stayed, default=0)
    assert all(
        (each.state == "finished") == (len(each.rungs) == len(STEPS)) for each in done.candidates
    )
    assert not [each for each in done.candidates if each.state in ("waiting", "running")]
