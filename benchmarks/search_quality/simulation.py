"""Selections whose trainings are drawn: what settings of `Selection` are worth, in minutes.

A random function of an architecture's choices stands for what an endless training reaches. Its
parts, all with normally distributed values: what each operation is worth anywhere, in each block
and on each input; each stride, anywhere and in each layer; each pair of operations in a block; and
something that is each architecture's own. A training measures that with noise, the more the
shorter it is.
"""

import dataclasses
import functools
import hashlib
import random
from collections.abc import Callable, Sequence

import numpy as np

from auto_deeplab.foundations.errors import UserError
from auto_deeplab.runs.selection import Candidate, RungResult, best_candidate
from auto_deeplab.search_space import CellGraph, Genotype, TrellisGraph, sample_genotype
from auto_deeplab.selection import halving
from auto_deeplab.selection.budget import Progress, TrainingsBudget
from auto_deeplab.selection.proposals import Proposal, Proposals
from auto_deeplab.selection.settings import Selection

_DRAWS = 2000
# Of the parts' values. An operation matters most wherever it is.
_SPREADS = {"operation": 1.0, "block": 0.5, "input": 0.5, "stride": 1.0, "layer": 0.5, "pair": 0.5}
# Of all, what is each architecture's own.
_OWN_SHARE = 0.25
CORRELATIONS = ((0.5, 0.7, 0.85), (0.25, 0.5, 0.85))
"""Of the figures of three rungs with the truth, where short trainings tell much, and little."""


class Truth:
    """What endless trainings reach, with a standard deviation of 1 over the space and a mean of 0.

    Args:
        cell: The cells of the space.
        trellis: The paths of the space.
        seed: Of the values.
    """

    def __init__(self, cell: CellGraph, trellis: TrellisGraph, seed: int) -> None:
        self._seed = seed
        self._values: dict[str, float] = {}
        generator = random.Random(f"{seed} draws")
        drawn = [sample_genotype("drawn", cell, trellis, generator) for _ in range(_DRAWS)]
        shared = np.array([self._shared(each) for each in drawn])
        self._mean, self._spread = shared.mean(), shared.std()
        self._sorted = np.sort([self(each) for each in drawn])

    def __call__(self, genotype: Genotype) -> float:
        """Returns what an architecture reaches."""
        own = self._normal(f"{genotype.network} {genotype.cell}")
        shared = (self._shared(genotype) - self._mean) / self._spread
        return float(np.sqrt(_OWN_SHARE) * own + np.sqrt(1 - _OWN_SHARE) * shared)

    def percentile(self, genotype: Genotype) -> float:
        """Returns which percentage of random architectures reach less."""
        return 100 * float(np.searchsorted(self._sorted, self(genotype))) / _DRAWS

    def measured(self, genotype: Genotype, rung: int, correlation: float) -> float:
        """Returns what a training reaches, which correlates with the truth over the space."""
        luck = self._normal(f"{genotype.network} {genotype.cell} {rung}")
        return correlation * self(genotype) + float(np.sqrt(1 - correlation**2)) * luck

    def _shared(self, genotype: Genotype) -> float:
        total = 0.0
        for block, branches in enumerate(genotype.cell):
            for branch in branches:
                total += self._value("operation", branch.op)
                total += self._value("block", branch.op, block)
                total += self._value("input", branch.op, branch.input)
            total += self._value("pair", *sorted(branch.op for branch in branches))
        for layer, stride in enumerate(genotype.network):
            total += self._value("stride", stride) + self._value("layer", layer, stride)
        return total

    def _value(self, part: str, *choice: object) -> float:
        text = f"{part} {choice}"
        if text not in self._values:
            self._values[text] = _SPREADS[part] * self._normal(text)
        return self._values[text]

    def _normal(self, text: str) -> float:
        """Returns a number that is normally distributed over texts, and the same each time."""
        digest = hashlib.sha256(f"{self._seed} {text}".encode()).digest()
        return float(np.random.default_rng(list(digest)).standard_normal())


class _Free:
    """Nothing costs anything."""

    def count(self, genotype: Genotype) -> dict[str, int]:
        return {"parameters": 0, "multiply_adds": 0}

    def are_within(self, costs: object) -> bool:
        return True

    def missed(self, missed: object) -> str:
        return ""


def simulate(
    settings: Selection,
    cell: CellGraph,
    trellis: TrellisGraph,
    trainings: float,
    measure: Callable[[Genotype, int], float],
) -> Genotype:
    """Returns what one worker's selection finds.

    Args:
        settings: Of the selection.
        cell: The cells of the space.
        trellis: The paths of the space.
        trainings: The budget.
        measure: (genotype, rung) -> what a training in the rung reaches, about -4 to 4.
    """
    rung_steps = settings.rung_steps(settings.eta ** (settings.rungs - 1))
    proposals = Proposals(settings, cell, trellis, _Free(), [], settings.first_draw)
    budget = TrainingsBudget(trainings)
    candidates: list[Candidate] = []
    sizes: list[int] = []

    def change(candidate: Candidate, **values: object) -> None:
        candidates[candidate.number] = candidate.model_copy(update=values)

    while True:
        progress = Progress(candidates, [], [], rung_steps)
        decision = halving.decide(
            candidates,
            (),
            sizes,
            proposals.bracket,
            settings.rungs,
            settings.eta,
            functools.partial(budget.affords, progress),
        )
        match decision:
            case halving.Propose(bracket, size):
                sizes[bracket:] = [size]
                proposal = proposals.next(candidates, bracket, size)
                if proposal is None:
                    raise RuntimeError("the space has no other architecture")
                candidates.append(_candidate(len(candidates), bracket, proposal))
            case halving.Train(candidate, rung):
                # Shifted and shrunk into what a mean IOU may be.
                figure = 0.5 + 0.1 * measure(candidate.genotype, rung)
                result = RungResult(
                    steps=rung_steps[rung],
                    seed=0,
                    mean_iou=min(1.0, max(0.0, figure)),
                    pixel_accuracy=0.5,
                    seconds=1,
                )
                change(candidate, state="running", rungs=(*candidate.rungs, result))
            case halving.Eliminate(beaten):
                for each in beaten:
                    change(each, state="eliminated")
            case halving.Finish(candidate):
                change(candidate, state="finished")
            case halving.Stop() | halving.Wait():
                best = best_candidate(candidates)
                if best is None:
                    raise RuntimeError("no candidate was trained")
                return best.genotype


def percentiles(
    settings: Selection, trainings: float, correlations: Sequence[float], repetitions: int
) -> list[float]:
    """Returns by the truth about it how good what each of several selections finds is.

    Args:
        settings: Of the selections; each has a seed and a truth of its own.
        trainings: The budget of each.
        correlations: Of each rung's figures with the truth; there are as many rungs.
        repetitions: How many selections.
    """
    cell, trellis = settings.space([])
    found = []
    for repetition in range(repetitions):
        truth = Truth(cell, trellis, repetition)
        genotype = simulate(
            dataclasses.replace(settings, seed=repetition, rungs=len(correlations)),
            cell,
            trellis,
            trainings,
            functools.partial(_measured, truth, correlations),
        )
        found.append(truth.percentile(genotype))
    return found


def show_percentiles(settings: Selection, trainings: float, repetitions: int) -> None:
    """Prints how good what selections find is, where short trainings tell much, and little.

    Args:
        settings: Of the selections.
        trainings: The budget of each.
        repetitions: How many selections.

    Raises:
        UserError: There are more rungs than 3.
    """
    if settings.rungs > len(CORRELATIONS[0]):
        raise UserError(
            f"Selection.rungs: received {settings.rungs}; expected at most {len(CORRELATIONS[0])}"
        )
    for correlations in sorted({each[-settings.rungs :] for each in CORRELATIONS}, reverse=True):
        found = percentiles(settings, trainings, correlations, repetitions)
        error = np.std(found, ddof=1) / np.sqrt(len(found)) if len(found) > 1 else np.nan
        shown = ", ".join(f"{each:g}" for each in correlations)
        print(
            f"correlation of the rungs with the truth {shown}: percentile {np.mean(found):.1f} "
            f"(standard error {error:.1f}), lowest {min(found):.1f}",
            flush=True,
        )


def _measured(truth: Truth, correlations: Sequence[float], genotype: Genotype, rung: int) -> float:
    return truth.measured(genotype, rung, correlations[rung])


def _candidate(number: int, bracket: int, proposal: Proposal) -> Candidate:
    return Candidate(
        number=number,
        name=proposal.genotype.name,
        network=proposal.genotype.network,
        cell=proposal.genotype.cell,
        origin=proposal.origin,
        source=proposal.source,
        bracket=bracket,
        parameters=0,
        multiply_adds=0,
    )
