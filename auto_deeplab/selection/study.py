"""The candidates and their results as an Optuna study: one trial a candidate.

A trial's parameters are the choices of the search space, its intermediate values the mean IOU by
steps, its value that of the whole training. One that was not among a rung's survivors is pruned. So
optuna-dashboard and Optuna's own plots show a selection, and its storages keep it: a file, or a
database that several hosts reach.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, Trial, TrialState

from auto_deeplab.foundations import json_files
from auto_deeplab.foundations.errors import UserError, argument, one_line
from auto_deeplab.runs.selection import Candidate, RungResult, State
from auto_deeplab.search_space import CellGraph, Genotype, TrellisGraph
from auto_deeplab.selection.budget import Session
from auto_deeplab.selection.proposals import Proposal

_SESSION = "session "
_EXHAUSTED = "exhausted"


class CandidateStudy:
    """A study that any number of workers share.

    Whoever decides or writes holds a lock that all of them respect: see `work`.

    Args:
        storage: A database's URL, or the file of Optuna's journal; it is made if it is not there.
        name: Of the study.
        cell: The cells of the search space.
        trellis: The paths of the search space.

    Raises:
        UserError: The storage cannot be used.
    """

    def __init__(self, storage: str, name: str, cell: CellGraph, trellis: TrellisGraph) -> None:
        self._distributions = _distributions(cell, trellis)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        try:
            self._study = optuna.create_study(
                storage=_storage(storage),
                study_name=name,
                direction="maximize",
                load_if_exists=True,
                # The samplers and pruners of Optuna have nothing to choose here.
                sampler=optuna.samplers.RandomSampler(),
                pruner=optuna.pruners.NopPruner(),
            )
        except Exception as error:
            # Whatever the database, its driver or the file system raises.
            raise UserError(
                f"{argument('storage')}: received {storage!r}, which cannot be used: "
                f"{one_line(str(error)) or type(error).__name__}; expected a file, or the URL of a "
                "database that SQLAlchemy knows, such as sqlite:///select.db"
            ) from error

    def candidates(self) -> list[Candidate]:
        """Returns all candidates, in the order of their numbers."""
        return [_candidate(trial) for trial in self._trials()]

    def sizes(self) -> list[int]:
        """Returns how many candidates each bracket is to have that has any."""
        sizes: dict[int, int] = {}
        for trial in self._trials():
            sizes[trial.user_attrs["bracket"]] = trial.user_attrs["bracket_size"]
        return [sizes[bracket] for bracket in range(len(sizes))]

    def add(self, proposal: Proposal, bracket: int, size: int) -> None:
        """Adds a candidate.

        Args:
            proposal: What it is.
            bracket: Which one it competes in.
            size: How many candidates the bracket is to have.
        """
        genotype = proposal.genotype
        # Through JSON: what a database keeps has no tuples.
        attributes: dict[str, Any] = json_files.parse(
            json_files.to_json(
                {
                    "name": genotype.name,
                    "network": genotype.network,
                    "cell": genotype.cell,
                    "origin": proposal.origin,
                    "source": proposal.source,
                    "bracket": bracket,
                    "bracket_size": size,
                    "parameters": proposal.costs["parameters"],
                    "multiply_adds": proposal.costs["multiply_adds"],
                    "rungs": [],
                }
            )
        )
        self._study.add_trial(
            optuna.trial.create_trial(
                state=TrialState.WAITING,
                params=_parameters(genotype),
                distributions=self._distributions,
                user_attrs=attributes,
            )
        )

    def start(self, candidate: Candidate) -> None:
        """Notes that a candidate which waits is trained: the first one that waits."""
        trial = self._study.ask()
        if trial.number != candidate.number:
            raise RuntimeError(f"candidate {trial.number} waits before {candidate.number}")

    def record(self, candidate: Candidate, result: RungResult) -> None:
        """Adds a training to a candidate that was started."""
        trial = self._running(candidate)
        # Before the figure that is there for Optuna's plots alone: this one counts.
        trial.set_user_attr("rungs", [each.model_dump() for each in (*candidate.rungs, result)])
        trial.report(result.mean_iou, result.steps)

    def eliminate(self, candidate: Candidate) -> None:
        """Takes a candidate out of the competition; one without a training counts as failed."""
        if candidate.state == "waiting":
            self.start(candidate)
        state = TrialState.PRUNED if candidate.rungs else TrialState.FAIL
        self._study.tell(candidate.number, state=state)

    def finish(self, candidate: Candidate) -> None:
        """Notes that a candidate has been trained in all rungs."""
        self._study.tell(candidate.number, candidate.mean_iou)

    def note_session(self, name: str, session: Session) -> None:
        """Keeps from when to when a worker has worked."""
        self._study.set_user_attr(f"{_SESSION}{name}", list(session))

    def sessions(self) -> dict[str, Session]:
        """Returns what `note_session` kept, by name."""
        return {
            name.removeprefix(_SESSION): (value[0], value[1])
            for name, value in self._study.user_attrs.items()
            if name.startswith(_SESSION)
        }

    def note_exhausted(self) -> None:
        """Notes that the space has no other candidate."""
        self._study.set_user_attr(_EXHAUSTED, True)

    @property
    def is_exhausted(self) -> bool:
        """Whether the space has no other candidate."""
        return bool(self._study.user_attrs.get(_EXHAUSTED, False))

    def _trials(self) -> Sequence[FrozenTrial]:
        return self._study.get_trials(deepcopy=False)

    def _running(self, candidate: Candidate) -> Trial:
        # A trial under way is resumed by its identity in the storage, which has no public name.
        frozen = self._trials()[candidate.number]
        return Trial(self._study, frozen._trial_id)


_STATES: dict[TrialState, State] = {
    TrialState.WAITING: "waiting",
    TrialState.RUNNING: "running",
    TrialState.PRUNED: "eliminated",
    TrialState.FAIL: "eliminated",
    TrialState.COMPLETE: "finished",
}


def _candidate(trial: FrozenTrial) -> Candidate:
    attributes = {name: value for name, value in trial.user_attrs.items() if name != "bracket_size"}
    document = {"number": trial.number, "state": _STATES[trial.state], **attributes}
    source = f"trial {trial.number} of the study"
    candidate: Candidate = json_files.check(document, Candidate, source)
    return candidate


def _storage(storage: str) -> str | optuna.storages.BaseStorage:
    if "://" in storage:
        return storage
    Path(storage).parent.mkdir(parents=True, exist_ok=True)
    return optuna.storages.JournalStorage(JournalFileBackend(storage))


def _distributions(cell: CellGraph, trellis: TrellisGraph) -> dict[str, BaseDistribution]:
    """Returns what each choice chooses from."""
    distributions: dict[str, BaseDistribution] = {
        f"layer_{layer}_stride": CategoricalDistribution(trellis.strides)
        for layer in range(1, trellis.layers + 1)
    }
    for block in range(1, cell.blocks + 1):
        for branch in ("left", "right"):
            name = f"block_{block}_{branch}"
            distributions[f"{name}_input"] = CategoricalDistribution(cell.inputs(block))
            distributions[f"{name}_operation"] = CategoricalDistribution(cell.kept_operations)
    return distributions


def _parameters(genotype: Genotype) -> dict[str, Any]:
    """Returns an architecture's choices by name."""
    parameters: dict[str, Any] = {
        f"layer_{layer}_stride": stride for layer, stride in enumerate(genotype.network, start=1)
    }
    for block, branches in enumerate(genotype.cell, start=1):
        for name, branch in zip(("left", "right"), branches, strict=True):
            parameters[f"block_{block}_{name}_input"] = branch.input
            parameters[f"block_{block}_{name}_operation"] = branch.op
    return parameters
