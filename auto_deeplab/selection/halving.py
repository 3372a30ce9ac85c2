"""Successive halving: what to do next, as a function of what is known.

A bracket of candidates is trained for a short time; the best third of them goes on to a longer
training, the best third of those to a whole one (Jamieson and Talwalkar 2016). A bracket of 9 costs
as much as 3 whole trainings, of which 1 is a whole one. Brackets follow each other as long as
the budget lasts, smaller ones where it does not suffice: a selection can end early and be gone on
with, and later brackets build on the results of earlier ones. Several whole trainings decide, so
that the luck of one does not.

Optuna's own pruner of this kind decides about each trial as it comes (asynchronous halving), when
there are none to compare it with at first, and in an order that depends on the number of workers. A
bracket is decided as a whole, and by the results alone, whoever made them and when: an interrupted
selection ends as one that was not interrupted.
"""

import dataclasses
from collections.abc import Callable, Collection, Iterator, Sequence

from auto_deeplab.runs.selection import Candidate

Affords = Callable[[int, Sequence[int]], bool]
"""(rung, reserved) -> whether there is budget for a training in a rung and one in each higher one,
beside trainings in the rungs of `reserved`: one that leads to nothing is not begun."""


@dataclasses.dataclass(frozen=True)
class Train:
    """Train a candidate in a rung."""

    candidate: Candidate
    rung: int


@dataclasses.dataclass(frozen=True)
class Eliminate:
    """Leave out candidates: others are better, or there is no budget for all of them."""

    candidates: tuple[Candidate, ...]


@dataclasses.dataclass(frozen=True)
class Finish:
    """Note that a candidate has been trained in all rungs."""

    candidate: Candidate


@dataclasses.dataclass(frozen=True)
class Propose:
    """Add a candidate to a bracket, which may be a new one, of so many candidates."""

    bracket: int
    size: int


@dataclasses.dataclass(frozen=True)
class Wait:
    """Other workers' results decide what to do."""


@dataclasses.dataclass(frozen=True)
class Stop:
    """There is no budget for anything more."""


Decision = Train | Eliminate | Finish | Propose | Wait | Stop


def survivors(results: Sequence[Candidate], rung: int, eta: int) -> list[Candidate]:
    """Returns those that go on from a rung: the best one in `eta`, and at least one of any.

    Args:
        results: The bracket's candidates that were trained in the rung.
        rung: The rung, from 0.
        eta: One in so many.
    """
    best_first = sorted(results, key=lambda each: (-each.rungs[rung].mean_iou, each.number))
    return best_first[: max(1, len(results) // eta)]


def decide(
    candidates: Sequence[Candidate],
    under_way: Collection[tuple[int, int]],
    sizes: Sequence[int],
    most: int,
    rungs: int,
    eta: int,
    affords: Affords,
    exhausted: bool = False,
) -> Decision:
    """Returns what a worker is to do.

    Args:
        candidates: All there are.
        under_way: (number, rung) of what other workers train.
        sizes: How many candidates each bracket is to have that has any.
        most: How many a new one is to have, if there is budget for all that comes of them.
        rungs: How many rungs there are.
        eta: See `survivors`.
        affords: Whether a training is worth beginning.
        exhausted: Whether there is no other candidate to be had.
    """
    brackets = [
        [each for each in candidates if each.bracket == bracket] for bracket in range(len(sizes))
    ]
    # First of all: what it draws must not depend on results that were not there at the time.
    if brackets and len(brackets[-1]) < sizes[-1] and not exhausted:
        return Propose(len(brackets) - 1, sizes[-1])
    # What the brackets before need, some of which may have to wait for others' results.
    reserved: list[int] = []
    for bracket in brackets:
        for decision in _decisions_in(bracket, under_way, rungs, eta, affords, reserved):
            return decision
        reserved += _planned(bracket, under_way, rungs, eta)
    if affords(0, reserved) and not exhausted:
        return Propose(len(brackets), _fitting_size(most, rungs, eta, affords, reserved))
    return Wait() if under_way else Stop()


def _decisions_in(
    bracket: Sequence[Candidate],
    under_way: Collection[tuple[int, int]],
    rungs: int,
    eta: int,
    affords: Affords,
    reserved: Sequence[int],
) -> Iterator[Decision]:
    """Yields what is to be done in a bracket; nothing where it has ended or others are at it."""
    competing = list(bracket)
    for rung in range(rungs):
        results, pending = _split(competing, rung)
        free = [each for each in pending if (each.number, rung) not in under_way]
        if free and affords(rung, reserved):
            yield Train(free[0], rung)
        if free and results and rung + 1 < rungs and affords(rung + 1, reserved):
            # Those that have been trained may still come to something.
            yield Eliminate(tuple(free))
        if pending or not results:
            return
        if rung + 1 == rungs:
            for each in results:
                if each.state == "running":
                    yield Finish(each)
            return
        competing = survivors(results, rung, eta)
        beaten = [
            each
            for each in results
            if each.state == "running" and len(each.rungs) == rung + 1 and each not in competing
        ]
        if beaten:
            yield Eliminate(tuple(beaten))


def _split(competing: Sequence[Candidate], rung: int) -> tuple[list[Candidate], list[Candidate]]:
    """Returns those that were trained in a rung, and those that are to be."""
    results = [each for each in competing if len(each.rungs) > rung]
    pending = [
        each
        for each in competing
        if len(each.rungs) == rung and each.state in ("waiting", "running")
    ]
    return results, pending


def _planned(
    bracket: Sequence[Candidate], under_way: Collection[tuple[int, int]], rungs: int, eta: int
) -> list[int]:
    """Returns the rungs of the trainings that a bracket still needs and nobody has begun."""
    planned: list[int] = []
    competing: Sequence[Candidate] = bracket
    for rung in range(rungs):
        results, pending = _split(competing, rung)
        if pending:
            planned += [rung for each in pending if (each.number, rung) not in under_way]
            count = max(1, (len(results) + len(pending)) // eta)
            return planned + _rungs_of(count, range(rung + 1, rungs), eta)
        if not results:
            return planned
        competing = survivors(results, rung, eta)
    return planned


def _rungs_of(count: int, rungs: range, eta: int) -> list[int]:
    """Returns the rungs of all trainings where so many candidates begin in the first of them."""
    planned: list[int] = []
    for rung in rungs:
        planned += [rung] * count
        count = max(1, count // eta)
    return planned


def _fitting_size(
    most: int, rungs: int, eta: int, affords: Affords, reserved: Sequence[int]
) -> int:
    """Returns how many candidates a bracket can have whose every rung gets its share."""
    smallest = eta ** (rungs - 1)
    for size in range(most, smallest, -smallest):
        planned = _rungs_of(size, range(rungs), eta)
        # One of each rung is asked for anyway.
        for rung in range(rungs):
            planned.remove(rung)
        if affords(0, [*reserved, *planned]):
            return size
    return min(most, smallest)
