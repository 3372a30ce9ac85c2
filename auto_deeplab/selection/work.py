"""What a worker does: it decides, trains, records, until the budget is spent.

Any number of workers, on hosts that see the selection's folder, work on one study. Decisions are
made one at a time: whoever decides holds a claim. Who trains holds a claim of that training; that
of a killed worker becomes free after a while, and the training is taken up.
"""

import contextlib
import dataclasses
import functools
import os
import socket
import time
import uuid
from collections.abc import Callable, Iterator, Sequence

from auto_deeplab.foundations.claims import Claims
from auto_deeplab.runs.selection import Candidate, RungResult, best_candidate
from auto_deeplab.selection import halving
from auto_deeplab.selection.budget import Budget, Progress, shown_time
from auto_deeplab.selection.proposals import Proposals
from auto_deeplab.selection.study import CandidateStudy

DECIDING = "deciding"
"""The claim of whoever decides or writes."""
_POLL_SECONDS = 2.0

TrainOne = Callable[[Candidate, int], RungResult]
"""(candidate, rung) -> how the training went."""


@dataclasses.dataclass(frozen=True)
class Worker:
    """One of the workers of a study.

    Args:
        study: The candidates and their results.
        claims: Of what is under way.
        proposals: Makes candidates.
        budgets: What limits the selection; each has to afford a training.
        rung_steps: The length of each rung's trainings.
        eta: One in so many candidates of a rung goes on to the next.
        train: Trains a candidate.
        publish: Called with all candidates when there is a new result, by one worker at a time.
        tell: Prints a line.
        poll_seconds: How often to look whether others have finished.
        now: The time, in seconds since 1970.
    """

    study: CandidateStudy
    claims: Claims
    proposals: Proposals
    budgets: Sequence[Budget]
    rung_steps: Sequence[int]
    eta: int
    train: TrainOne
    publish: Callable[[Sequence[Candidate]], None]
    tell: Callable[[str], None] = lambda line: print(line, flush=True)
    poll_seconds: float = _POLL_SECONDS
    now: Callable[[], float] = time.time

    def work(self) -> None:
        """Works until the budget is spent, and until what others do has ended."""
        started = self.now()
        name = f"{socket.gethostname()} {os.getpid()} {uuid.uuid4().hex[:8]}"
        while True:
            with contextlib.ExitStack() as claimed:
                with self._deciding():
                    self.study.note_session(name, (started, self.now()))
                    decision = self._decide()
                    if isinstance(decision, halving.Train):
                        # Its claim outlives the decision.
                        claimed.enter_context(self._claim(decision))
                match decision:
                    case halving.Train(candidate, rung):
                        result = self.train(candidate, rung)
                        with self._deciding():
                            self.study.note_session(name, (started, self.now()))
                            self._record(candidate, rung, result)
                    case halving.Wait():
                        time.sleep(self.poll_seconds)
                    case halving.Stop():
                        return

    def _decide(self) -> halving.Decision:
        """Does all that takes no time, and returns what comes then."""
        while True:
            candidates = self.study.candidates()
            sizes = self.study.sizes()
            under_way = self._under_way()
            decision = halving.decide(
                candidates,
                under_way,
                sizes,
                self.proposals.bracket,
                len(self.rung_steps),
                self.eta,
                functools.partial(self._affords, self._progress(candidates, under_way)),
                self.study.is_exhausted,
            )
            match decision:
                case halving.Eliminate(beaten):
                    for each in beaten:
                        self.study.eliminate(each)
                case halving.Finish(candidate):
                    self.study.finish(candidate)
                case halving.Propose(bracket, size):
                    self._propose(candidates, bracket, size, is_new=bracket == len(sizes))
                case halving.Train(candidate, _):
                    if candidate.state == "waiting":
                        self.study.start(candidate)
                    return decision
                case halving.Stop():
                    self.publish(candidates)
                    return decision
                case halving.Wait():
                    return decision

    def _affords(self, progress: Progress, rung: int, reserved: Sequence[int]) -> bool:
        return all(budget.affords(progress, rung, reserved) for budget in self.budgets)

    def _propose(
        self, candidates: Sequence[Candidate], bracket: int, size: int, is_new: bool
    ) -> None:
        if is_new:
            size = self.proposals.size(candidates, size)
        proposal = self.proposals.next(candidates, bracket, size)
        if proposal is None:
            self.study.note_exhausted()
        else:
            self.study.add(proposal, bracket, size)

    def _record(self, candidate: Candidate, rung: int, result: RungResult) -> None:
        known = self.study.candidates()[candidate.number]
        # Another worker may have taken it for ours to be dead, and have been faster.
        if len(known.rungs) > rung:
            return
        self.study.record(known, result)
        candidates = self.study.candidates()
        self.publish(candidates)
        # What this one has just done is not under way any more.
        under_way = self._under_way() - {(candidate.number, rung)}
        self.tell(self._line(candidates, candidate, rung, result, under_way))

    def _under_way(self) -> set[tuple[int, int]]:
        """Returns (number, rung) of each training that somebody has claimed."""
        keys = self.claims.claimed() - {DECIDING}
        pairs = (key.removeprefix("candidate_").split("-rung_") for key in keys)
        return {(int(number), int(rung)) for number, rung in pairs}

    @contextlib.contextmanager
    def _claim(self, decision: halving.Train) -> Iterator[None]:
        key = f"candidate_{decision.candidate.number}-rung_{decision.rung}"
        with self.claims.claim(key) as is_ours:
            if not is_ours:
                raise RuntimeError(f"{key} was free, and is not")
            yield

    def _deciding(self) -> contextlib.AbstractContextManager[None]:
        """Waits until nobody else decides, and lets nobody else as long as the block runs."""
        return self.claims.waiting(DECIDING, min(0.1, self.poll_seconds))

    def _progress(
        self, candidates: Sequence[Candidate], under_way: set[tuple[int, int]]
    ) -> Progress:
        return Progress(
            candidates,
            [rung for _, rung in under_way],
            list(self.study.sessions().values()),
            self.rung_steps,
        )

    def _line(
        self,
        candidates: Sequence[Candidate],
        candidate: Candidate,
        rung: int,
        result: RungResult,
        under_way: set[tuple[int, int]],
    ) -> str:
        """Returns what is told of a training."""
        progress = self._progress(candidates, under_way)
        best = best_candidate(candidates)
        figure = result.failure or f"mIOU {result.mean_iou:.2%}"
        parts = [
            f"{candidate.name}, rung {rung + 1} of {len(self.rung_steps)} ({result.steps} steps): "
            f"{figure} in {shown_time(result.seconds)}"
        ]
        if best is not None and best.mean_iou is not None:
            parts.append(f"best {best.name} with {best.mean_iou:.2%} in rung {len(best.rungs)}")
        trained = sum(bool(each.rungs) for each in candidates)
        parts.append(
            f"{trained} candidates, " + ", ".join(budget.shown(progress) for budget in self.budgets)
        )
        workers = len(under_way) + 1
        left = [budget.remaining_seconds(progress, workers) for budget in self.budgets]
        known = [seconds for seconds in left if seconds is not None]
        if known:
            noun = "worker" if workers == 1 else "workers"
            parts.append(f"about {shown_time(min(known))} left with {workers} {noun}")
        return "; ".join(parts)
