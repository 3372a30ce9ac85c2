"""Processes that take turns: each holds one thing to measure and measures it when told to.

What else the machine does hits all of them alike, so their ratios within a turn are steadier than
their times. A process talks in JSON lines: one when it has started, one with "seconds" for each
line "run" that it reads, and one for the line "end", after which it ends.
"""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import IO, Any, NamedTuple, cast

from auto_deeplab.foundations.errors import UserError
from benchmarks.measuring.peak_memory import peak_megabytes


class Start(NamedTuple):
    """Where a first computation starts.

    Attributes:
        seconds: By the clock of `time.perf_counter`.
        peak_megabytes: The most memory that the process has had until then.
    """

    seconds: float
    peak_megabytes: float

    @classmethod
    def now(cls) -> "Start":
        """Returns the present."""
        return cls(time.perf_counter(), peak_megabytes())


class Worker:
    """A process that measures when told to.

    Args:
        module: What it runs, such as "benchmarks.workers.inference"; it calls `measure_when_told`.
        arguments: Its arguments, passed as JSON; "model" says what it measures.
        advice: What to try if it ends early.
    """

    def __init__(self, module: str, arguments: dict[str, Any], advice: str):
        self.model = arguments["model"]
        self.seconds: list[float] = []
        self._advice = advice
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, json.dumps(arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        # Both are pipes.
        self._questions = cast(IO[str], self._process.stdin)
        self._answers = cast(IO[str], self._process.stdout)
        self.start = self._read()

    def run(self) -> None:
        """Measures once and keeps the time."""
        self.seconds.append(self._ask("run")["seconds"])

    def finish(self) -> dict[str, Any]:
        """Ends the process; returns what it told at its start and at its end."""
        end = self._ask("end")
        self._process.wait()
        return self.start | end

    def kill(self) -> None:
        """Ends the process whatever it does."""
        self._process.kill()
        self._process.wait()

    def _ask(self, question: str) -> dict[str, Any]:
        self._questions.write(question + "\n")
        self._questions.flush()
        return self._read()

    def _read(self) -> dict[str, Any]:
        line = self._answers.readline()
        if not line:
            raise UserError(
                f"the process of {self.model} ended with status {self._process.wait()}; out of "
                f"memory? {self._advice}"
            )
        return json.loads(line)


def measure_in_turns(
    module: str,
    arguments: list[dict[str, Any]],
    turns: int,
    advice: str,
    title: str,
    unit: str,
) -> list[dict[str, Any]]:
    """Starts a `Worker` for each of `arguments` and lets them take turns.

    Args:
        module: See `Worker`.
        arguments: Of each worker; ratios are to the last.
        turns: How often each of them measures.
        advice: See `Worker`.
        title: Of the progress bar.
        unit: Of the progress bar: what one measurement is.

    Returns:
        For each worker "model", the "seconds" of its turns and their "median_seconds",
        "times_faster_than_MODEL" with the last one's model, and what the worker told.

    Raises:
        UserError: A process ended early.
    """
    from tqdm import tqdm

    workers: list[Worker] = []
    try:
        with tqdm(total=len(arguments) * (turns + 1), desc=title, unit=unit) as bar:
            for of_worker in arguments:
                workers.append(Worker(module, of_worker, advice))
                bar.update()
            for _ in range(turns):
                for worker in workers:
                    worker.run()
                    bar.update()
        reference = workers[-1]
        return [
            {
                "model": worker.model,
                "seconds": worker.seconds,
                "median_seconds": statistics.median(worker.seconds),
                f"times_faster_than_{reference.model}": times_faster(
                    worker.seconds, reference.seconds
                ),
                **worker.finish(),
            }
            for worker in workers
        ]
    finally:
        for worker in workers:
            worker.kill()


def times_faster(seconds: Sequence[float], reference: Sequence[float]) -> float:
    """Returns how many times faster something is than the reference: the median over the turns.

    Args:
        seconds: Of its turns.
        reference: The seconds of the reference's turns. Turns that only one of them had do not
            count.
    """
    pairs = zip(reference, seconds, strict=False)
    return statistics.median(theirs / ours for theirs, ours in pairs)


def tell(**values: Any) -> None:
    """Prints a JSON line, in a worker's process."""
    print(json.dumps(values), flush=True)


def seconds_of(compute: Callable[[], object]) -> float:
    """Returns the seconds that `compute` takes."""
    started = time.perf_counter()
    compute()
    return time.perf_counter() - started


def measure_when_told(
    compute: Callable[[], object],
    first: str,
    about: Callable[[], dict[str, Any]] = dict,
    preparing: Start | None = None,
) -> None:
    """Measures in a worker's process, from its start to the line "end".

    Args:
        compute: What is measured: it returns when its result is there.
        first: What the seconds of the first computation are called, which may trace and compile.
        about: Returns what else is told of it at the end.
        preparing: Where the first computation started, if preparing it belongs to it.
    """
    preparing = preparing or Start.now()
    compute()
    tell(
        **{first: time.perf_counter() - preparing.seconds},
        megabytes_before=preparing.peak_megabytes,
    )
    for question in sys.stdin:
        if question.strip() != "run":
            break
        tell(seconds=seconds_of(compute))
    peak = peak_megabytes()
    tell(peak_megabytes=peak, **about())
