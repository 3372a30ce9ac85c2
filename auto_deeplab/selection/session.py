"""One worker's session: from the gin file to the end of the budget."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from auto_deeplab.foundations import gin_files, json_files
from auto_deeplab.foundations.claims import Claims
from auto_deeplab.foundations.errors import UserError, argument
from auto_deeplab.foundations.kept_setting import keep_setting
from auto_deeplab.runs.model_dir import ModelDir
from auto_deeplab.runs.selection import SelectionDir
from auto_deeplab.search_space import CellGraph, Genotype, TrellisGraph, space_values
from auto_deeplab.search_space.mutation import require_in_space
from auto_deeplab.selection.budget import Budget, TrainingsBudget
from auto_deeplab.selection.costs import Band, Counter
from auto_deeplab.selection.given import Given
from auto_deeplab.selection.outcome import Outcome
from auto_deeplab.selection.proposals import Proposals
from auto_deeplab.selection.retraining import Preparation, Retraining
from auto_deeplab.selection.settings import Selection
from auto_deeplab.selection.shared_weights import SharedWeights, best_draws
from auto_deeplab.selection.study import CandidateStudy
from auto_deeplab.selection.work import DECIDING, Worker
from auto_deeplab.training.runtime import device_names


def run_session(
    retraining: Retraining,
    given: Sequence[Given],
    bands: Mapping[str, Band],
    budgets: Sequence[Budget],
    storage: str,
    search: str | None = None,
) -> None:
    """Works on a selection, together with other workers, until the budget is spent.

    Args:
        retraining: How candidates are trained, and the selection's folder.
        given: Architectures that take part.
        bands: What a candidate may cost, by the name of the cost.
        budgets: What limits it.
        storage: Where the study is kept, see `CandidateStudy`.
        search: The model_dir of a search whose supernet chooses among random draws; None for none.

    Raises:
        UserError: The configuration is wrong, or another one than the folder's; or the budget does
            not suffice for one candidate.
    """
    folder = retraining.folder
    preparation = retraining.prepare()
    with gin_files.explaining_calls():
        settings = Selection()
    rung_steps = settings.rung_steps(preparation.job.steps)
    _check_budgets(budgets, rung_steps)
    found = [] if search is None else [Genotype.load(ModelDir(Path(search)).genotype)]
    cell, trellis = settings.space([*(each.genotype for each in given), *found])
    for each in given:
        try:
            require_in_space(each.genotype, cell, trellis)
        except UserError as error:
            raise UserError(f"{argument('genotypes')}: {each.source}: {error}") from None
    claims = Claims(folder.claims)
    # Others may be about to make the same folder.
    with claims.waiting(DECIDING):
        study = CandidateStudy(storage, folder.path.resolve().name, cell, trellis)
        own = _own_setting(settings, cell, trellis, bands, rung_steps)
        own["shared_weights"] = search is not None
        _join(folder, study, preparation, own)
        counter = Counter(preparation.build(), preparation.image_size, bands, prefix="max_")
        ranked: list[Given] = []
        if search is not None:
            ranked = best_draws(
                settings,
                cell,
                trellis,
                folder.shared_weights,
                SharedWeights(search, preparation.description.name, retraining).measure,
                lambda genotype: counter.are_within(counter.count(genotype)),
            )
    proposals = Proposals(
        settings,
        cell,
        trellis,
        counter,
        [*given, *ranked],
        first_draw=settings.first_draw + (0 if search is None else settings.shared_weights_draws),
    )
    outcome = Outcome(
        folder,
        rung_steps,
        {"Selection.seed": settings.seed, "Retrain.seed": preparation.job.seed},
        preparation.config,
    )
    Worker(
        study,
        claims,
        proposals,
        budgets,
        rung_steps,
        settings.eta,
        lambda candidate, rung: retraining.train(candidate, rung, rung_steps),
        outcome.publish,
    ).work()


def _check_budgets(budgets: Sequence[Budget], rung_steps: Sequence[int]) -> None:
    needed = sum(rung_steps) / rung_steps[-1]
    for budget in budgets:
        if isinstance(budget, TrainingsBudget) and budget.trainings < needed:
            raise UserError(
                f"{argument('trainings')}: received {budget.trainings:g}; expected at least "
                f"{needed:.3g}, what one candidate takes through all rungs"
            )


def _own_setting(
    settings: Selection,
    cell: CellGraph,
    trellis: TrellisGraph,
    bands: Mapping[str, Band],
    rung_steps: Sequence[int],
) -> dict[str, Any]:
    """Returns what is the selection's own of the setting, as JSON values."""
    return {
        **dataclasses.asdict(settings),
        **space_values(cell, trellis),
        "bands": {name: list(band) for name, band in bands.items()},
        "rung_steps": list(rung_steps),
    }


def _join(
    folder: SelectionDir, study: CandidateStudy, preparation: Preparation, own: Mapping[str, Any]
) -> None:
    """Keeps what the folder is to hold of every selection, or compares it with what it holds.

    Raises:
        UserError: Folder and study do not belong together, or hold another selection.
    """
    has_candidates = bool(study.candidates())
    if has_candidates and not folder.setting.exists():
        raise UserError(
            f"{argument('storage')}: received a study that has candidates, but "
            f"{argument('output_dir')} {folder.path} does not hold their trainings; expected the "
            "folder of that study, which all hosts have to see, or another one with a new name"
        )
    if not has_candidates and folder.candidates.exists():
        raise UserError(
            f"{argument('storage')}: received a study without candidates, but "
            f"{argument('output_dir')} {folder.path} holds some; expected the study that they are "
            f"in, or another {argument('output_dir')}"
        )
    keep_setting(folder.setting, {**preparation.setting(), "selection": own}, "output_dir")
    model_dir = ModelDir(folder.path)
    if not model_dir.config.exists():
        json_files.write_text(model_dir.config, preparation.config)
        preparation.description.save(folder.path)
    model_dir.append_session(0, device_names())
