"""Where candidates come from: given ones, random draws, and mutations of the best.

Each bracket has random draws. So a selection has chance's floor: whatever the given ones, the
supernet and the mutations are worth, it also chooses among draws of which each architecture of the
space is as likely as any other.
"""

import math
import random as random_module
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from auto_deeplab.foundations.errors import UserError
from auto_deeplab.runs.selection import Candidate, Origin, ranking
from auto_deeplab.search_space import CellGraph, Genotype, TrellisGraph, numbered_draw
from auto_deeplab.search_space.mutation import Cell, Path, mutate, sorted_branches
from auto_deeplab.selection.given import Given
from auto_deeplab.selection.settings import Selection

# Until these many draws, or mutations, in a row are known or miss a band.
MOST_DRAWS = 1000
MOST_MUTATIONS = 100


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

    Attributes:
        left_out: The given ones that are too dear.
    """

    def __init__(
        self,
        settings: Selection,
        cell: CellGraph,
        trellis: TrellisGraph,
        costs: Costs,
        given: Sequence[Given],
        first_draw: int = 1,
    ) -> None:
        self._settings, self._cell, self._trellis = settings, cell, trellis
        self._costs, self._first_draw = costs, first_draw
        self._given: list[Proposal] = []
        self.left_out: list[Proposal] = []
        self._too_dear: set[tuple[Path, Cell]] = set()
        seen: set[tuple[Path, Cell]] = set()
        for each in given:
            signature = signature_of(each.genotype)
            if signature not in seen:
                seen.add(signature)
                counted = Proposal(*each, costs.count(each.genotype))
                (self._given if costs.are_within(counted.costs) else self.left_out).append(counted)

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
        known = {signature_of(each.genotype) for each in candidates}
        given = sum(signature_of(each.genotype) not in known for each in self._given)
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
        for each in self._given:
            if signature_of(each.genotype) not in known:
                return each
        number_of_random = sum(each.origin == "random" for each in members)
        if number_of_random >= math.ceil(size * self._settings.random_share - 1e-9):
            mutation = self._mutation(candidates, known)
            if mutation is not None:
                return mutation
        return self._random(candidates, known)

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

    def _mutation(
        self, candidates: Sequence[Candidate], known: set[tuple[Path, Cell]]
    ) -> Proposal | None:
        """Returns a change of one of the best; None where there is none that is new."""
        parents = ranking(candidates)[: self._settings.parents]
        random = random_module.Random(f"{self._settings.seed} mutation {len(candidates)}")
        for _ in range(MOST_MUTATIONS if parents else 0):
            parent = random.choice(parents)
            name = f"mutation_{len(candidates)}"
            genotype = mutate(name, parent.genotype, self._cell, self._trellis, random)
            if genotype is None or signature_of(genotype) in known | self._too_dear:
                continue
            costs = self._count(genotype)
            if self._costs.are_within(costs):
                return Proposal(genotype, "mutation", str(parent.number), costs)
        return None

    def _count(self, genotype: Genotype) -> dict[str, int]:
        """Returns the costs, and notes what is too dear: to count takes seconds."""
        costs = self._costs.count(genotype)
        if not self._costs.are_within(costs):
            self._too_dear.add(signature_of(genotype))
        return costs


def signature_of(genotype: Genotype) -> tuple[Path, Cell]:
    """Returns what two architectures have in common that compute the same."""
    return genotype.network, sorted_branches(genotype.cell)
