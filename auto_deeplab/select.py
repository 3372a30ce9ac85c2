r"""Chooses an architecture by real trainings: successive halving, never worse than chance.

  python -m auto_deeplab.select --gin_file=retrain.gin --trainings=15 --output_dir=runs/select
  python -m auto_deeplab.select --gin_file=retrain.gin --genotypes=runs/search_trials \
      --budget=3h --max_multiply_adds=2.5B
  python -m auto_deeplab.report runs/select

The gin file is that of a retraining. Its architecture is left out: candidates are those of
--genotypes, random draws, and what a model of the results so far expects most of. A bracket of 9 is
trained for a ninth of Retrain.steps, the best third of it for a third of them, and the best of
those for all; then the next bracket begins, as long as --trainings or --budget lasts. Random draws
are always among the candidates, so chance is not left out.

--output_dir gets genotype.json, the best so far; candidates.jsonl, a line for each candidate; and
trainings/, where each whole training is a model_dir to evaluate or export. The study is Optuna's:
optuna-dashboard OUTPUT_DIR/study.journal shows it while it runs.

The same command again goes on where it stopped, and a larger budget adds to it. Several processes,
on hosts that see --output_dir, share the work: run the same command once for each GPU, or for each
core. What a killed process trained is taken up by the others.

Values of the halving itself are gin parameters, such as --gin_param="Selection.eta = 4": see
auto_deeplab/selection/settings.py.
"""

import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from absl import flags

from auto_deeplab import command_line
from auto_deeplab.command_line import gin_flags
from auto_deeplab.foundations.errors import TRY_AGAIN_STATUS, UserError

if TYPE_CHECKING:
    from auto_deeplab.runs.selection import SelectionDir
    from auto_deeplab.selection.budget import Budget

_GIN_FILE = command_line.define_path(
    "gin_file", None, "How to train, such as retrain.gin.", required=True
)
_gin_parameters = gin_flags.define_flags()
_OUTPUT_DIR = command_line.define_path(
    "output_dir", None, "Where results go; runs/NAME_select for NAME.gin by default."
)
_GENOTYPES = command_line.define_paths(
    "genotypes",
    "",
    "Architectures that take part: genotype files, the folders of searches, or those of trials.",
)
_TRAININGS = flags.DEFINE_float(
    "trainings",
    None,
    "How much to train, in whole trainings' worth of steps; 15 if there is no --budget either.",
)
_BUDGET = flags.DEFINE_string(
    "budget",
    None,
    "How long to go on, such as 3h, 90m or 2d; time between sessions does not count.",
)
_MAX_PARAMETERS = flags.DEFINE_string(
    "max_parameters", None, "The most trainable parameters of a candidate, such as 2.5M."
)
_MAX_MULTIPLY_ADDS = flags.DEFINE_string(
    "max_multiply_adds",
    None,
    "The most multiply-adds of a candidate, for one validation image, such as 2.5B.",
)
_SEARCH = command_line.define_path(
    "search",
    None,
    "The folder of a search: its supernet measures hundreds of random draws with its shared "
    "weights, and those that it puts first take part.",
)
_STORAGE = command_line.define_path(
    "storage",
    None,
    "Where Optuna keeps the study: a file, or a database's URL; OUTPUT_DIR/study.journal by "
    "default.",
)
_DEFAULT_TRAININGS = 15.0


def main(argv: list[str]) -> None:
    del argv
    # Before TensorFlow, which takes seconds: a mistyped flag should not.
    from auto_deeplab.foundations import gin_files
    from auto_deeplab.runs.selection import SelectionDir
    from auto_deeplab.selection.given import load_given

    gin_file = gin_files.find(_GIN_FILE.value)
    bands = {
        name: (0.0, _parse_most(f"max_{name}", flag.value))
        for name, flag in (("parameters", _MAX_PARAMETERS), ("multiply_adds", _MAX_MULTIPLY_ADDS))
        if flag.value is not None
    }
    budgets = _budgets()
    given = load_given(_GENOTYPES.value)
    folder = SelectionDir(Path(_OUTPUT_DIR.value or Path("runs") / f"{Path(gin_file).stem}_select"))

    from auto_deeplab.selection.retraining import Retraining
    from auto_deeplab.selection.session import run_session

    with _ending_on_sigterm():
        run_session(
            Retraining(gin_file, _gin_parameters(), folder),
            given,
            bands,
            budgets,
            _STORAGE.value or str(folder.study),
            _SEARCH.value,
        )
    _tell_end(folder)


def _budgets() -> list["Budget"]:
    """Returns what --budget and --trainings say.

    Raises:
        UserError: One of them is wrong.
    """
    from auto_deeplab.selection.budget import TimeBudget, TrainingsBudget, parse_time

    budgets: list[Budget] = []
    if _BUDGET.value is not None:
        budgets.append(TimeBudget(parse_time(_BUDGET.value)))
    if _TRAININGS.value is not None or not budgets:
        trainings = _DEFAULT_TRAININGS if _TRAININGS.value is None else _TRAININGS.value
        if not 0 < trainings < float("inf"):
            raise UserError(f"--trainings: received {trainings}; expected a number above 0")
        budgets.append(TrainingsBudget(trainings))
    return budgets


def _parse_most(flag: str, text: str) -> float:
    amount = command_line.parse_amount(text)
    if not amount:
        raise UserError(
            f"--{flag}: received {text!r}; expected a number above 0 that K, M or B may follow, "
            "such as 2.5M"
        )
    return amount


@contextlib.contextmanager
def _ending_on_sigterm() -> Iterator[None]:
    """Ends when a scheduler says so: what is trained saves first, and nothing else has to."""

    def end(*_: object) -> None:
        raise SystemExit(TRY_AGAIN_STATUS)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    except SystemExit as status:
        if status.code == TRY_AGAIN_STATUS:
            print("SIGTERM: everything is saved; the same command goes on", flush=True)
        raise
    finally:
        signal.signal(signal.SIGTERM, before)


def _tell_end(folder: "SelectionDir") -> None:
    from auto_deeplab.runs.selection import best_candidate

    candidates = folder.read_candidates()
    best = best_candidate(candidates)
    if best is None:
        print("no candidate was trained: the budget is too small")
        return
    steps = best.rungs[-1].steps
    print(
        f"done: the best of {sum(bool(each.rungs) for each in candidates)} candidates is "
        f"{best.name}, with {best.rungs[-1].mean_iou:.2%} mIOU after {steps} steps: "
        f"{folder.path / 'genotype.json'}"
    )
    if best.state == "finished":
        print(f"its training is {folder.training(best, steps)}")
    else:
        print("none has been trained to the end: the same command with a larger budget goes on")
    print(f"python -m auto_deeplab.report {folder.path} shows all of them")


if __name__ == "__main__":
    command_line.run(main)
