"""Where candidates come from: given ones, random draws, and what a surrogate expects most of.

Each bracket has random draws, and the first one has nothing else that is not given. So a selection
has chance's floor: whatever the given ones, the supernet and the surrogate are worth, it also
chooses among draws of which each architecture of the space is as likely as any other.
"""

import math
import random as random_module
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from auto_deeplab.foundations.errors import UserError
from auto_deeplab.runs.selection import Candidate, Origin, ranking
from auto_deeplab.search_space import (
    CellGraph,
    Genotype,
    TrellisGraph,
    numbered_draw,
    sample_genotype,
)
from auto_deeplab.search_space.mutation import Cell, Path, mutations, sorted_branches
from auto_deeplab.selection.given import Given
from auto_deeplab.selection.settings import Selection
from auto_deeplab.selection.surrogate import Surrogate

# Until these many draws in a row are known or miss a band.
MOST_DRAWS = 1000
# Of what the surrogate puts in order, at most so many are tried.
MOST_PROMISING = 100


class Costs(Protocol):
    """What counts networks, such as `costs.Counter`."""

    def count(self, genotype: Genotype) -> dict[str, int]:
        """Returns the costs by name."""

    def are_within(self, costs: Mapping[str, int]) -> bool:
        """Whether they are what a candidate may cost."""

    def missed(self, missed: Sequence[Mapping[str, int]]) -> str:
        """Returns, for a message, what those cost that may not be candidates."""


class Proposal(NamedTuple):
    """A candidate before it has a number.

    Attributes:
        genotype: The architecture, by a name that people know it by.
        origin: Where it comes from.
        source: More of that, see `Candidate`.
        costs: By name.
    """

    genotype: Genotype
    origin: Origin
    source: str
    costs: dict[str, int]


class Proposals:
    """Makes candidates, each another architecture than all before.

    What it makes depends on the settings and on the candidates with their results alone.

    Args:
        settings: How to draw.
        cell: The cells of the space.
        trellis: The paths of the space.
        costs: Counts, and refuses what is too dear.
        given: Architectures of the space; they come first.
        first_draw: The number of the first random draw.
        tell: Prints a line, for a given one that is left out.
    """

    def __init__(
        self,
        settings: Selection,
        cell: CellGraph,
        trellis: TrellisGraph,
        costs: Costs,
        given: Sequence[Given],
        first_draw: int = 1,
        tell: Callable[[str], None] = lambda line: print(line, flush=True),
    ) -> None:
        self._settings, self._cell, self._trellis = settings, cell, trellis
        self._costs, self._first_draw, self._tell = costs, first_draw, tell
        self._surrogate = Surrogate(cell, trellis)
        self._given: dict[tuple[Path, Cell], Given] = {}
        for each in given:
            self._given.setdefault(signature_of(each.genotype), each)
        self._counted: dict[tuple[Path, Cell], dict[str, int]] = {}
        self._too_dear: set[tuple[Path, Cell]] = set()

    @property
    def bracket(self) -> int:
        """How many candidates a bracket has by the settings."""
        return self._settings.bracket

    def size(self, candidates: Sequence[Candidate], size: int) -> int:
        """Returns how many candidates the next bracket is to have.

        Args:
            candidates: All there are.
            size: How many it is to have at least; all that are given, and random ones beside them,
                find room in it.
        """
        given = len(self._waiting({signature_of(each.genotype) for each in candidates}))
        # A bit less than a whole number is a whole number that was rounded.
        share = 1 - self._settings.random_share
        with_random = math.ceil(given / share - 1e-9) if share else given + size
        return max(size, with_random)

    def next(self, candidates: Sequence[Candidate], bracket: int, size: int) -> Proposal | None:
        """Returns the next candidate of a bracket; None where the space has no other.

        Args:
            candidates: All there are.
            bracket: Which bracket.
            size: How many it is to have.

        Raises:
            UserError: Not one candidate is to be had within the bands.
        """
        known = {signature_of(each.genotype) for each in candidates}
        members = [each for each in candidates if each.bracket == bracket]
        for each in self._waiting(known):
            return each
        number_of_random = sum(each.origin == "random" for each in members)
        if number_of_random >= math.ceil(size * self._settings.random_share - 1e-9):
            promising = self._promising(candidates, known)
            if promising is not None:
                return promising
        return self._random(candidates, known)

    def _waiting(self, known: set[tuple[Path, Cell]]) -> list[Proposal]:
        """Returns the given ones that are no candidates yet, in the order in which they came."""
        waiting = []
        for signature, each in self._given.items():
            if signature in known | self._too_dear:
                continue
            costs = self._count(each.genotype)
            if self._costs.are_within(costs):
                waiting.append(Proposal(*each, costs))
            else:
                self._tell(f"left out: {each.source}: {self._costs.missed([costs])}")
        return waiting

    def _random(
        self, candidates: Sequence[Candidate], known: set[tuple[Path, Cell]]
    ) -> Proposal | None:
        """Returns the draw after the last one that is among the candidates."""
        drawn = [int(each.source) for each in candidates if each.origin == "random"]
        number = max(drawn, default=self._first_draw - 1)
        missed: list[dict[str, int]] = []
        repeated = 0
        while len(missed) < MOST_DRAWS and repeated < MOST_DRAWS:
            number += 1
            genotype = numbered_draw(
                f"random_{number}", self._cell, self._trellis, self._settings.seed, number
            )
            if signature_of(genotype) in known | self._too_dear:
                repeated += 1
                continue
            repeated = 0
            costs = self._count(genotype)
            if self._costs.are_within(costs):
                return Proposal(genotype, "random", str(number), costs)
            missed.append(costs)
        if missed and not candidates:
            raise UserError(
                f"{len(missed)} random draws in a row missed. {self._costs.missed(missed)}"
            )
        return None

    def _promising(
        self, candidates: Sequence[Candidate], known: set[tuple[Path, Cell]]
    ) -> Proposal | None:
        """Returns what the surrogate puts first; None before the first result.

        It is asked about random draws and about all mutations of the best. Where the first ones are
        known or miss a band, those behind them are tried in growing steps, since what resembles
        them costs as much; where all that are tried are, there is none.
        """
        parents = ranking(candidates)[: self._settings.parents]
        if not parents:
            return None
        random = random_module.Random(f"{self._settings.seed} surrogate {len(candidates)}")
        name = f"surrogate_{len(candidates)}"
        pool = {
            sample_genotype(name, self._cell, self._trellis, random): "random draw"
            for _ in range(self._settings.surrogate_draws)
        }
        for parent in parents:
            for changed in mutations(parent.genotype, self._cell, self._trellis):
                pool.setdefault(Genotype(name, *changed), f"mutation of {parent.name}")
        genotypes = list(pool)
        bounds = self._surrogate.upper_bounds(candidates, genotypes)
        best_first = np.argsort(-bounds, kind="stable")
        ranks = np.unique(np.geomspace(1, len(genotypes), MOST_PROMISING, dtype=int))
        for index in best_first[ranks - 1]:
            genotype = genotypes[index]
            if signature_of(genotype) in known | self._too_dear:
                continue
            costs = self._count(genotype)
            if self._costs.are_within(costs):
                return Proposal(genotype, "surrogate", pool[genotype], costs)
        return None

    def _count(self, genotype: Genotype) -> dict[str, int]:
        """Returns the costs, and notes them and what is too dear: to count takes seconds."""
        signature = signature_of(genotype)
        if signature not in self._counted:
            self._counted[signature] = self._costs.count(genotype)
        costs = self._counted[signature]
        if not self._costs.are_within(costs):
            self._too_dear.add(signature)
        return costs


def signature_of(genotype: Genotype) -> tuple[Path, Cell]:
    """Returns what two architectures have in common that compute the same."""
    return genotype.network, sorted_branches(genotype.cell)
