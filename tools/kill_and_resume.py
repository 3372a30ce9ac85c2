r"""Kills trainings and runs them again: is the end bit for bit that of an uninterrupted one?

  python -m tools.kill_and_resume
  python -m tools.kill_and_resume --runs=20 --kills=3 --gin_file=my_search.gin

Trains once without interruption. Then trains --runs times more, each time killed --kills times and
started again with the same command, and compares the ends: the newest and the best checkpoint with
every weight, optimizer value, alpha and beta; the metrics but for the times; architecture.jsonl;
genotype.json. How many were identical is printed at the end, and is the exit status: 0 for all.

The --moments are taken in turns, of several in one run the earlier first:

  warm_up     SIGKILL between steps of the warm-up, in which alpha and beta stand still
  validation  SIGKILL between an epoch's last step and the line of its metrics
  switch      SIGKILL after the warm-up and before the first step that moves alpha and beta is saved
  checkpoint  SIGKILL while a file of a checkpoint is being written
  sigterm     SIGTERM, which has to end with status 75
  random      SIGKILL after any time, also while the process starts

The training is made deterministic (configure_runtime.deterministic). The gin file has to save often
(Search.checkpoint_minutes = 0), or there is no such moment to meet. A run that was over before its
moment came is counted as such. Interrupted, the same command goes on; runs that differ are kept
in --output_dir beside their logs.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from absl import flags

from auto_deeplab import command_line
from auto_deeplab.foundations.atomic_file import replacing
from auto_deeplab.foundations.errors import TRY_AGAIN_STATUS, UserError, require_known

# In the order in which one run can meet them all.
MOMENTS = ("warm_up", "validation", "switch", "checkpoint", "sigterm", "random")

_GIN_FILE = command_line.define_path("gin_file", "kill_and_resume.gin", "What to train.")
_GIN_PARAM = flags.DEFINE_multi_string("gin_param", [], "Replaces a value of the file.")
_RUNS = flags.DEFINE_integer("runs", 100, "How many trainings to kill.", lower_bound=1)
_KILLS = flags.DEFINE_integer("kills", 1, "How often to kill each of them.", lower_bound=1)
_MOMENTS = flags.DEFINE_list("moments", list(MOMENTS), "When to kill.")
_SEED = flags.DEFINE_integer("seed", 0, "Of the random steps and times.")
_OUTPUT_DIR = command_line.define_path(
    "output_dir", "runs/kill_and_resume", "Where the trainings and results.jsonl go."
)

_POLL_SECONDS = 0.001


class Run:
    """A training's folder, looked at from outside while another process writes it.

    Args:
        folder: Holds the model_dir, which is called the same for all: a genotype is named by it.
    """

    def __init__(self, folder: Path):
        from auto_deeplab.runs.model_dir import ModelDir
        from auto_deeplab.training.checkpoints.files import CheckpointFiles

        self.folder = folder
        self.model_dir = ModelDir(folder / "training")
        self.checkpoints = CheckpointFiles(self.model_dir.checkpoints)

    def start(self) -> subprocess.Popen:
        """Starts the training, or goes on with it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        parameters = ["configure_runtime.deterministic = True", *_GIN_PARAM.value]
        with self._log.open("a") as log:
            return subprocess.Popen(
                [
                    *(sys.executable, "-m", "auto_deeplab.train", f"--gin_file={_GIN_FILE.value}"),
                    *(f"--gin_param={parameter}" for parameter in parameters),
                    f"--model_dir={self.model_dir.path}",
                ],
                stdout=log,
                stderr=log,
            )

    def finish(self) -> None:
        """Trains to the end.

        Raises:
            UserError: It ended with an error.
        """
        if status := self.start().wait():
            lines = self._log.read_text().splitlines()
            message = "\n".join(line for line in lines[-20:] if line.strip())
            raise UserError(f"the training ended with status {status}, see {self._log}:\n{message}")

    @property
    def newest_step(self) -> int:
        """The step of the newest checkpoint; -1 without any."""
        return max(self.checkpoints.steps(), default=-1)

    @property
    def is_writing_a_checkpoint(self) -> bool:
        """Whether a file of a checkpoint has its temporary name."""
        folder = self.checkpoints.folder
        return folder.is_dir() and any(name.startswith(".step-") for name in os.listdir(folder))

    def metrics(self) -> list[dict[str, Any]]:
        """Returns the lines of the metrics without what was measured with a clock."""
        return [
            {name: value for name, value in line.items() if "seconds" not in name}
            for line in self.model_dir.read_metrics()
        ]

    def differences(self, other: "Run") -> list[str]:
        """Returns the names of what two finished trainings have not in common.

        Raises:
            UserError: A checkpoint is damaged.
        """
        end, other_end = self._end(), other._end()
        return [name for name in end if end[name] != other_end[name]]

    def _end(self) -> dict[str, Any]:
        """Returns by name all that has to be the same; checkpoints by their checksums."""
        end: dict[str, Any] = {"metrics.jsonl": self.metrics()}
        newest, best = self.checkpoints.steps()[-1], self.checkpoints.best()
        end["the newest checkpoint"] = self.checkpoints.verify(newest)
        end["the best checkpoint"] = best and self.checkpoints.verify(best.step)
        for path in (self.model_dir.config, self.model_dir.history, self.model_dir.genotype):
            end[path.name] = path.read_bytes() if path.exists() else None
        return end

    @property
    def _log(self) -> Path:
        return self.folder / "log.txt"


class Epochs:
    """When what happened in the uninterrupted training.

    Args:
        metrics: Its metrics.
        seconds: How long it took, with the start of the process.
    """

    def __init__(self, metrics: list[dict[str, Any]], seconds: float):
        self.ends = {line["step"]: line["epoch"] for line in metrics}
        self.steps = metrics[-1]["step"]
        self.warm_up_steps = max(
            (line["step"] for line in metrics if line.get("architecture_learning_rate") == 0),
            default=0,
        )
        self.seconds = seconds

    def moment(self, name: str, run: Run, rng: random.Random) -> Callable[[], bool]:
        """Returns what tells whether the moment to kill a run has come.

        Raises:
            UserError: The training has no such moment.
        """
        if name in ("warm_up", "switch") and not 1 < self.warm_up_steps < self.steps:
            raise UserError(
                f"--moments: received {name}, and {_GIN_FILE.value} has no warm-up of several "
                "steps that ends; expected others"
            )
        if name == "warm_up":
            step = rng.randrange(1, self.warm_up_steps)
            return lambda: step <= run.newest_step < self.warm_up_steps
        if name == "validation":
            return lambda: self.ends.get(run.newest_step, 0) > len(run.metrics())
        if name == "switch":
            warm_up_epochs = self.ends[self.warm_up_steps]
            return lambda: (
                len(run.metrics()) == warm_up_epochs and run.newest_step == self.warm_up_steps
            )
        if name == "checkpoint":
            step = run.newest_step + rng.randrange(1, 4)
            return lambda: run.newest_step >= min(step, self.steps) and run.is_writing_a_checkpoint
        if name == "sigterm":
            step = run.newest_step + rng.randrange(1, 4)
            return lambda: run.newest_step >= min(step, self.steps - 1)
        at = time.monotonic() + rng.random() * self.seconds
        return lambda: time.monotonic() >= at


def kill(process: subprocess.Popen, is_moment: Callable[[], bool]) -> bool:
    """Kills a process at a moment; returns whether it came before the process ended.

    The process is stopped first: only if the moment has not passed meanwhile it is killed.
    """
    while process.poll() is None:
        if is_moment():
            process.send_signal(signal.SIGSTOP)
            os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
            if process.poll() is None and is_moment():
                process.kill()
                process.wait()
                return True
            process.send_signal(signal.SIGCONT)
        time.sleep(_POLL_SECONDS)
    return False


def terminate(process: subprocess.Popen, is_moment: Callable[[], bool]) -> bool:
    """Sends SIGTERM at a moment; returns whether it came before the process ended.

    Raises:
        UserError: The process ended with another status than that of a preemption.
    """
    while process.poll() is None:
        if is_moment():
            process.terminate()
            status = process.wait()
            # 0: the signal came after the last step.
            if status not in (TRY_AGAIN_STATUS, 0):
                raise UserError(f"SIGTERM: ended with status {status}; expected {TRY_AGAIN_STATUS}")
            return status == TRY_AGAIN_STATUS
        time.sleep(_POLL_SECONDS)
    return False


def reference(folder: Path) -> tuple[Run, Epochs]:
    """Returns the uninterrupted training, which is made unless it is there."""
    seconds_file = folder / "seconds.json"
    if not seconds_file.exists():
        # What is left of an interrupted one is no reference.
        shutil.rmtree(folder, ignore_errors=True)
        started = time.monotonic()
        Run(folder).finish()
        with replacing(seconds_file) as temporary:
            temporary.write_text(json.dumps(time.monotonic() - started))
    run = Run(folder)
    return run, Epochs(run.metrics(), json.loads(seconds_file.read_text()))


def killed_run(number: int, folder: Path, uninterrupted: Run, epochs: Epochs) -> dict[str, Any]:
    """Trains with interruptions; returns which came and what differs in the end."""
    shutil.rmtree(folder, ignore_errors=True)
    run, rng = Run(folder), random.Random(f"{_SEED.value} {number}")
    first = number * _KILLS.value
    names = [_MOMENTS.value[(first + k) % len(_MOMENTS.value)] for k in range(_KILLS.value)]
    kills = {}
    try:
        for name in sorted(names, key=MOMENTS.index):
            is_moment = epochs.moment(name, run, rng)
            interrupt = terminate if name == "sigterm" else kill
            kills[name] = interrupt(run.start(), is_moment)
        run.finish()
        differences = run.differences(uninterrupted)
    except UserError as error:
        differences = [str(error)]
    if not differences:
        shutil.rmtree(folder)
    return {"run": number, "kills": kills, "differences": differences}


def main(argv: list[str]) -> None:
    del argv
    require_known("moments", _MOMENTS.value, MOMENTS)
    if _KILLS.value > len(_MOMENTS.value):
        raise UserError(
            f"--kills: received {_KILLS.value}; expected at most one for each of the "
            f"{len(_MOMENTS.value)} --moments"
        )
    from tqdm import tqdm

    output_dir = Path(_OUTPUT_DIR.value)
    settings = {name: flags.FLAGS[name].value for name in ("gin_file", "gin_param", "kills")}
    settings |= {"moments": _MOMENTS.value, "seed": _SEED.value}
    results = read_results(output_dir / "results.jsonl", settings)
    uninterrupted, epochs = reference(output_dir / "reference")
    with tqdm(total=_RUNS.value, initial=len(results), unit="run", desc="killed") as bar:
        for number in range(len(results), _RUNS.value):
            folder = output_dir / f"run_{number:03d}"
            results.append(killed_run(number, folder, uninterrupted, epochs))
            with replacing(output_dir / "results.jsonl") as temporary:
                lines = [settings, *results]
                temporary.write_text("".join(json.dumps(line) + "\n" for line in lines))
            bar.update()
    results = results[: _RUNS.value]
    for name in _MOMENTS.value:
        came = [result["kills"][name] for result in results if name in result["kills"]]
        if came:
            print(f"{name}: {sum(came)} interrupted, {len(came) - sum(came)} were over before")
    different = [result for result in results if result["differences"]]
    print(f"{len(results) - len(different)} of {len(results)} ended identically")
    if different:
        raise UserError(
            f"these differ from {uninterrupted.folder}:\n"
            + "\n".join(
                f"run {result['run']}: {', '.join(result['differences'])}" for result in different
            )
        )


def read_results(path: Path, settings: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns the results of the runs that an earlier call has finished.

    Raises:
        UserError: They are of other settings.
    """
    if not path.exists():
        return []
    kept, *results = [json.loads(line) for line in path.read_text().splitlines()]
    if kept != settings:
        raise UserError(
            f"{path}: received the settings {settings}; expected {kept}, or another --output_dir"
        )
    return results


if __name__ == "__main__":
    command_line.run(main)
