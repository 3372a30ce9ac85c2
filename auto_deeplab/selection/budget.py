"""How long a selection may go on: so many whole trainings, or so much time."""

import dataclasses
import re
from collections.abc import Iterable, Sequence
from typing import Protocol

from auto_deeplab.foundations.errors import UserError, argument
from auto_deeplab.runs.selection import Candidate

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}

Session = tuple[float, float]
"""From when to when a worker worked, in seconds since 1970."""


@dataclasses.dataclass(frozen=True)
class Progress:
    """What has been done of a selection.

    Args:
        candidates: With their results.
        under_way: The rungs of the trainings that are under way.
        sessions: Of all workers, until now.
        rung_steps: The length of each rung's trainings.
    """

    candidates: Sequence[Candidate]
    under_way: Sequence[int]
    sessions: Sequence[Session]
    rung_steps: Sequence[int]

    @property
    def steps(self) -> int:
        """The steps of all finished trainings."""
        return sum(result.steps for each in self.candidates for result in each.rungs)

    @property
    def trainings(self) -> float:
        """What has been trained, in whole trainings' worth of steps."""
        return self.steps / self.rung_steps[-1]

    @property
    def elapsed(self) -> float:
        """Seconds in which at least one worker worked."""
        return covered_seconds(self.sessions)

    def seconds_of(self, rung: int) -> float | None:
        """Returns what a training in a rung takes; None where nothing is known.

        Those of the rung tell, or else the longest others by their steps.
        """
        times: dict[int, list[float]] = {}
        for each in self.candidates:
            for index, result in enumerate(each.rungs):
                times.setdefault(index, []).append(result.seconds)
        if not times:
            return None
        known = rung if rung in times else max(times)
        mean = sum(times[known]) / len(times[known])
        return mean * self.rung_steps[rung] / self.rung_steps[known]


class Budget(Protocol):
    """What limits a selection."""

    def affords(self, progress: Progress, rung: int, reserved: Sequence[int]) -> bool:
        """Whether there is enough for a training in a rung and in each higher one.

        Args:
            progress: What has been done.
            rung: The rung.
            reserved: The rungs of other trainings that there has to be enough for, too.
        """

    def remaining_seconds(self, progress: Progress, workers: int) -> float | None:
        """Returns for how long so many workers will go on; None where nothing is known."""

    def shown(self, progress: Progress) -> str:
        """Returns how much is spent, for people."""


@dataclasses.dataclass(frozen=True)
class TrainingsBudget:
    """So many steps, counted over all trainings.

    Args:
        trainings: Their number, each of the highest rung's length.
    """

    trainings: float

    def affords(self, progress: Progress, rung: int, reserved: Sequence[int]) -> bool:
        """Whether so many steps are left; those of what is under way are spent."""
        needed = [*range(rung, len(progress.rung_steps)), *reserved]
        return sum(progress.rung_steps[each] for each in needed) <= self._left(progress)

    def remaining_seconds(self, progress: Progress, workers: int) -> float | None:
        """Returns how long the steps take that are left, which workers share."""
        seconds = progress.seconds_of(len(progress.rung_steps) - 1)
        if seconds is None:
            return None
        return max(0, self._left(progress)) / progress.rung_steps[-1] * seconds / workers

    def shown(self, progress: Progress) -> str:
        """Returns, for example, "4.3 of 15 trainings"."""
        return f"{progress.trainings:.3g} of {self.trainings:g} trainings"

    def _left(self, progress: Progress) -> int:
        begun = sum(progress.rung_steps[rung] for rung in progress.under_way)
        return round(self.trainings * progress.rung_steps[-1]) - progress.steps - begun


@dataclasses.dataclass(frozen=True)
class TimeBudget:
    """So much time, without that between sessions.

    Args:
        seconds: How much.
    """

    seconds: float

    def affords(self, progress: Progress, rung: int, reserved: Sequence[int]) -> bool:
        """Whether the trainings will end in time, as far as those before tell."""
        times = [progress.seconds_of(each) for each in range(len(progress.rung_steps))]
        known = [seconds for seconds in times if seconds is not None]
        if not known:
            # One has to be first.
            return not reserved and progress.elapsed < self.seconds
        # Workers share the others.
        others = sum(known[each] for each in reserved) / (len(progress.under_way) + 1)
        return progress.elapsed + sum(known[rung:]) + others <= self.seconds

    def remaining_seconds(self, progress: Progress, workers: int) -> float | None:
        """Returns what is left; it passes for all workers alike."""
        return max(0.0, self.seconds - progress.elapsed)

    def shown(self, progress: Progress) -> str:
        """Returns, for example, "1 h 05 min of 3 h 00 min"."""
        return f"{shown_time(progress.elapsed)} of {shown_time(self.seconds)}"


def parse_time(text: str, name: str = "budget") -> float:
    """Returns the seconds of a time such as "3h", "90m", "2d" or "1h30m".

    Args:
        text: The time.
        name: The argument, for messages.

    Raises:
        UserError: It is none, or zero.
    """
    number = r"\d+(?:\.\d+)?"
    seconds = 0.0
    if re.fullmatch(rf"(?:{number}[{''.join(_SECONDS)}])+", text):
        parts = re.findall(rf"({number})([{''.join(_SECONDS)}])", text)
        seconds = sum(float(value) * _SECONDS[unit] for value, unit in parts)
    if not 0 < seconds < float("inf"):
        raise UserError(
            f"{argument(name)}: received {text!r}; expected a time above 0 in days, hours, minutes "
            "or seconds, such as 2d, 3h, 90m or 1h30m"
        )
    return seconds


def covered_seconds(sessions: Iterable[Session]) -> float:
    """Returns the seconds that lie in at least one of the sessions."""
    total, until = 0.0, float("-inf")
    for started, ended in sorted(sessions):
        total += max(0.0, ended - max(started, until))
        until = max(until, ended)
    return total


def shown_time(seconds: float) -> str:
    """Returns a time for people, such as "1 h 05 min"; below a minute, "40 s"."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min"
