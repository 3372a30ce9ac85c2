"""Selections whose trainings are a formula: the truth about each architecture is known."""

import contextlib
import hashlib
import threading

from auto_deeplab.foundations.claims import Claims
from auto_deeplab.runs.selection import RungResult
from auto_deeplab.search_space import CellGraph, TrellisGraph
from auto_deeplab.selection.budget import TrainingsBudget
from auto_deeplab.selection.proposals import Proposals
from auto_deeplab.selection.settings import Selection
from auto_deeplab.selection.study import CandidateStudy
from auto_deeplab.selection.work import Worker

CELL = CellGraph(2, ("none", "skip", "sep_conv_3x3", "sep_conv_5x5"))
TRELLIS = TrellisGraph(3, (4, 8, 16))
STEPS = (10, 30, 90)
WORTH = {"skip": 0.0, "sep_conv_3x3": 0.1, "sep_conv_5x5": 0.15}


def truth(genotype):
    """What an endless training would reach: the more work the better, and stride 8 is best."""
    operations = sum(WORTH[branch.op] for block in genotype.cell for branch in block)
    path = sum(0.05 for stride in genotype.network if stride == 8)
    inputs = sum(0.02 for block in genotype.cell for branch in block if branch.input == "prev")
    return operations + path + inputs


def noise(candidate, rung):
    """A number from -1 to 1, the same each time."""
    text = f"{candidate.network} {candidate.cell} {rung}"
    digest = hashlib.sha256(text.encode()).digest()
    return int.from_bytes(digest[:4], "big") / 2**31 - 1


def measured(candidate, rung, spread=0.0):
    """What a training in a rung reaches: the truth, with more noise the shorter it is."""
    figure = truth(candidate.genotype) * (0.5 + rung / 4) + spread * noise(candidate, rung)
    return RungResult(
        steps=STEPS[rung],
        seed=len(STEPS) - 1 - rung,
        mean_iou=min(1.0, max(0.0, figure)),
        pixel_accuracy=0.5,
        seconds=STEPS[rung] / 10,
    )


class Costs:
    """Counts blocks' convolutions; what has more than `most` is too dear."""

    def __init__(self, most=100):
        self.most = most
        self.counted = []

    def count(self, genotype):
        self.counted.append(genotype)
        operations = sum(branch.op != "skip" for block in genotype.cell for branch in block)
        return {"parameters": operations, "multiply_adds": 10 * operations}

    def are_within(self, costs):
        return costs["parameters"] <= self.most

    def missed(self, missed):
        return f"max_parameters: received {self.most}; these have {missed[0]['parameters']}"


class Killed(BaseException):
    """What ends a worker without a word."""


class FakeSelection:
    """A selection in a folder, of which any number of workers can be made."""

    def __init__(self, folder, trainings=6.0, given=(), costs=None, spread=0.0, **settings):
        self.folder = folder
        self.settings = Selection(
            **{"bracket": 9, "random_share": 1 / 3, "surrogate_draws": 100, **settings}
        )
        self.given, self.costs = given, costs or Costs()
        self.budgets = [TrainingsBudget(trainings)]
        self.spread = spread
        # Of a claim that nobody touches: long, as threads may wait for a busy machine.
        self.stale_seconds = 60.0
        self.trained, self.lines, self.published = [], [], []
        self._lock = threading.Lock()

    def study(self):
        return CandidateStudy(str(self.folder / "study.journal"), "fake", CELL, TRELLIS)

    def candidates(self):
        return self.study().candidates()

    def train(self, candidate, rung):
        with self._lock:
            self.trained.append((candidate.number, rung))
        return measured(candidate, rung, self.spread)

    def work(self, train=None):
        Worker(
            self.study(),
            Claims(self.folder / "claims", self.stale_seconds, touch_seconds=0.05),
            Proposals(self.settings, CELL, TRELLIS, self.costs, self.given),
            self.budgets,
            STEPS,
            self.settings.eta,
            train or self.train,
            self.published.append,
            self.lines.append,
            poll_seconds=0.02,
        ).work()

    def work_until_killed(self, after):
        """Works until the training that comes after so many, in which the worker is killed."""

        def train(candidate, rung):
            if len(self.trained) == after:
                raise Killed
            return self.train(candidate, rung)

        with contextlib.suppress(Killed):
            self.work(train)
