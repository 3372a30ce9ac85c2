"""The sections of the report: what runs did, as tables and pictures."""

import datetime
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure

from auto_deeplab.data.description import DatasetDescription
from auto_deeplab.runs.run import Run, differing_values, group_trials
from auto_deeplab.runs.selection import Candidate, ranking
from auto_deeplab.search_space import Genotype, diagnose
from auto_deeplab.visualization.architecture import draw_architecture
from auto_deeplab.visualization.curves import draw_curves, draw_trials
from auto_deeplab.visualization.evaluations import draw_class_bars, draw_confusion_matrix
from auto_deeplab.visualization.heat_maps import draw_alpha, draw_beta
from auto_deeplab.visualization.report.page import Picture, Section, Table
from auto_deeplab.visualization.selection import draw_pareto_front, draw_rungs

_NOTHING = "\u2013"
_SHOWN_CANDIDATES = 30


@dataclass(frozen=True)
class Examples:
    """The best and the worst images of an evaluation, drawn.

    Args:
        run: The name of the run.
        evaluation: The name of the evaluation.
        best: Where the network does best; None where there is no such image.
        worst: Where it does worst, likewise.
    """

    run: str
    evaluation: str
    best: Figure | None
    worst: Figure | None


def build_sections(runs: Sequence[Run], examples: Sequence[Examples] = ()) -> list[Section]:
    """Returns the sections for which the runs have left something.

    Args:
        runs: One, or several to compare.
        examples: The images to show.
    """
    sections = [
        Section("Summary", [_summary(runs)]),
        Section("Architecture", pictures=_architectures(runs)),
        *(_selection(run) for run in runs if run.candidates),
        Section("Search", *_searches([run for run in runs if run.is_search])),
        Section("Training", pictures=_trainings([run for run in runs if run.kind == "training"])),
        Section("Evaluation", _evaluation_tables(runs), _evaluations(runs)),
        Section("Best and worst images", pictures=_examples(examples)),
        Section(
            "Configuration",
            _differences(runs),
            texts={f"{run.name}: the operative configuration": run.config_text for run in runs},
        ),
        Section("Versions and times", [_times(runs), _versions(runs)]),
    ]
    return [section for section in sections if section.tables or section.pictures or section.texts]


def _summary(runs: Sequence[Run]) -> Table:
    rows = []
    for run in runs:
        _, mean_ious = run.series("val_mean_iou")
        description = _description(run)
        rows.append(
            [
                run.name,
                run.kind,
                description.name if description else _NOTHING,
                run.seed or _NOTHING,
                f"{run.metrics[-1]['step']:,}" if run.metrics else "0",
                _percent(mean_ious[-1]) if mean_ious else _NOTHING,
                ", ".join(f"{e.name} {_percent(e.matrix.mean_iou)}" for e in run.evaluations)
                or _NOTHING,
                _duration(run.training_seconds + run.validation_seconds),
                " ".join(map(str, run.genotype.network)) if run.genotype else _NOTHING,
            ]
        )
    columns = ["run", "kind", "dataset", "seed", "steps", "last validation mIOU"]
    return Table("", [*columns, "evaluated mIOU", "time", "strides of the layers"], rows)


def _architectures(runs: Sequence[Run]) -> list[Picture]:
    """One drawing an architecture: a search and its retraining share theirs."""
    sharing: dict[tuple, list[tuple[Run, Genotype]]] = {}
    for run in runs:
        if genotype := run.genotype:
            sharing.setdefault((genotype.network, genotype.cell), []).append((run, genotype))
    pictures = []
    for number, group in enumerate(sharing.values(), start=1):
        # Whoever knows alpha and beta tells more.
        run, genotype = next((shared for shared in group if shared[0].relaxation), group[0])
        names = ", ".join(one.name for one, _ in group)
        suffix = f"_{number}" if len(sharing) > 1 else ""
        for part, caption in _ARCHITECTURE_CAPTIONS.items():
            text = caption[run.relaxation is not None]
            pictures.append(
                Picture(
                    f"architecture{suffix}_{part}",
                    f"{part.capitalize()} of {names}",
                    text,
                    draw_architecture(genotype, run.relaxation, [part]),
                    wide=True,
                )
            )
    return pictures


# Without and with alpha and beta.
_ARCHITECTURE_CAPTIONS = {
    "network": (
        "The path through the trellis: a column a layer, a row a resolution.",
        "The chosen path through the trellis, blue, with softmax(\u03b2) of its arcs. All others "
        "are as wide as they are likely, and dashed where they are the strongest out of a node. "
        "The path is the most likely as a whole: it may leave a node by a weaker arc.",
    ),
    "cell": (
        "The cell that every layer repeats: each block adds two branches.",
        "The cell that every layer repeats: each block adds two branches. Numbers are softmax"
        "(\u03b1) of the chosen operations.",
    ),
}


def _searches(runs: Sequence[Run]) -> tuple[list[Table], list[Picture]]:
    searched = [run for run in runs if run.history]
    return [_diagnoses(searched)] if searched else [], _search_pictures(runs)


def _diagnoses(runs: Sequence[Run]) -> Table:
    """How far each search had come at its last epoch, and what is wrong."""
    diagnoses = [diagnose(run.history[-1].relaxation) for run in runs]
    names = list(dict.fromkeys(name for each in diagnoses for name in each.figures()))
    rows = []
    for run, diagnosis in zip(runs, diagnoses, strict=True):
        figures = diagnosis.figures()
        rows.append(
            [
                run.name,
                *(f"{figures[name]:.3g}" if name in figures else _NOTHING for name in names),
                ". ".join(diagnosis.findings()) or _NOTHING,
            ]
        )
    titles = [_DIAGNOSIS_TITLES.get(name, name.replace("_", " ")) for name in names]
    return Table("Diagnosis", ["run", *titles, "what is wrong"], rows)


_DIAGNOSIS_TITLES = {"alpha_entropy": "entropy of \u03b1", "beta_entropy": "entropy of \u03b2"}


def _search_pictures(runs: Sequence[Run]) -> list[Picture]:
    groups = group_trials(runs)
    labels = [_trials_label([run.name for run in group]) for group in groups]
    pictures = _with_figures(
        ("search_trials", "Supernet over the epochs", _trials_caption(groups, labels)),
        draw_trials(groups, labels),
    )
    pictures += _curves(runs, "search", _SEARCH_CURVES)
    for run in runs:
        if run.history:
            suffix = f"_{_file_name(run.name)}" if len(runs) > 1 else ""
            pictures += [
                Picture(
                    f"alpha{suffix}",
                    f"\u03b1 of {run.name}",
                    "How likely each operation is on each edge of the cell, epoch by epoch; red "
                    "frames mark what is chosen at the end.",
                    draw_alpha(run.history),
                    wide=True,
                ),
                Picture(
                    f"beta{suffix}",
                    f"\u03b2 of {run.name}",
                    "How likely each arc is out of each node of the trellis, epoch by epoch; red "
                    "frames mark the chosen path.",
                    draw_beta(run.history),
                    wide=True,
                ),
            ]
    return pictures


def _trials_label(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) < 5 else f"{names[0]} to {names[-1]} ({len(names)})"


def _trials_caption(groups: Sequence[Sequence[Run]], labels: Sequence[str]) -> str:
    texts = ["Validation mean IOU of the supernet."]
    for group, label in zip(groups, labels, strict=True):
        last = [run.series("val_mean_iou")[1][-1:] for run in group]
        values = [value for values in last for value in values]
        if len(values) > 1:
            mean = sum(values) / len(values)
            texts.append(
                f"The {len(values)} trials {label} end at {_percent(mean)} on average, at "
                f"{_percent(min(values))} to {_percent(max(values))}."
            )
    return " ".join(texts)


def _selection(run: Run) -> Section:
    """The candidates of a selection: the best ones as a table, all of them as pictures."""
    best_first = ranking(run.candidates)
    reached = len(best_first[0].rungs) if best_first else 0
    rows = [
        [
            each.name,
            _origin(each),
            str(each.bracket + 1),
            *(
                _percent(each.rungs[rung].mean_iou) if rung < len(each.rungs) else _NOTHING
                for rung in range(reached)
            ),
            f"{each.parameters:,}",
            f"{each.multiply_adds:,}",
            " ".join(map(str, each.network)),
        ]
        for each in best_first[:_SHOWN_CANDIDATES]
    ]
    lengths = [f"mIOU, {result.steps:,} steps" for result in best_first[0].rungs] if reached else []
    columns = ["candidate", "from", "bracket", *lengths, "parameters", "multiply-adds"]
    title = f"The best of {len(best_first)} candidates" if len(rows) < len(best_first) else ""
    suffix = f"_{_file_name(run.name)}"
    pictures = _with_figures(
        (
            f"rungs{suffix}",
            "Candidates by rung",
            "Each point is a training; lines lead from a candidate's shorter training to its "
            "longer one. Those that no line leaves were eliminated, or reached the last rung.",
        ),
        draw_rungs(run.candidates),
    )
    pictures += _with_figures(
        (
            f"pareto{suffix}",
            "Pareto front",
            "The candidates of the last rung that was reached: what they reach for what they cost. "
            "Shorter trainings reach less, and are left out.",
        ),
        draw_pareto_front(run.candidates),
    )
    tables = [Table(title, [*columns, "strides of the layers"], rows)] if rows else []
    return Section(f"Selection {run.name}", tables, pictures)


def _origin(candidate: Candidate) -> str:
    origin = candidate.origin.replace("_", " ")
    return f"{origin}, {candidate.source}" if candidate.origin == "surrogate" else origin


def _trainings(runs: Sequence[Run]) -> list[Picture]:
    return _curves(runs, "training", _TRAINING_CURVES)


# Name, title, labels of the metrics, vertical axis, whether it is a share.
_SEARCH_CURVES = (
    (
        "loss",
        "Loss",
        {"loss": "weights, on trainA", "architecture_loss": "\u03b1 and \u03b2, on trainB"},
        "cross-entropy",
        False,
    ),
    (
        "pixel_accuracy",
        "Pixel accuracy",
        {
            "val_pixel_accuracy": "what is trained",
            "decoded_pixel_accuracy": "decoded, same weights",
        },
        "validation pixel accuracy",
        True,
    ),
    (
        "learning_rate",
        "Learning rates",
        {"learning_rate": "weights", "architecture_learning_rate": "\u03b1 and \u03b2"},
        "learning rate",
        False,
    ),
    (
        "entropy",
        "Entropy of \u03b1 and \u03b2: 1 is no choice",
        {"alpha_entropy": "\u03b1", "beta_entropy": "\u03b2"},
        "normalized entropy",
        False,
    ),
    (
        "skip_and_none",
        "What skip and none have of softmax(\u03b1)",
        {"skip_weight": "skip", "none_weight": "none"},
        "mean weight",
        True,
    ),
)
_TRAINING_CURVES = (
    ("loss", "Loss", {"loss": "training"}, "cross-entropy", False),
    ("mean_iou", "Mean IOU", {"val_mean_iou": "mean IOU"}, "validation mean IOU", True),
    (
        "pixel_accuracy",
        "Pixel accuracy",
        {"val_pixel_accuracy": "pixel accuracy"},
        "validation pixel accuracy",
        True,
    ),
    ("learning_rate", "Learning rate", {"learning_rate": "weights"}, "learning rate", False),
)


def _curves(runs: Sequence[Run], prefix: str, curves: Sequence[tuple]) -> list[Picture]:
    return [
        picture
        for name, title, metrics, y_label, percent in curves
        for picture in _with_figures(
            (f"{prefix}_{name}", title, ""), draw_curves(runs, metrics, y_label, percent)
        )
    ]


def _evaluation_tables(runs: Sequence[Run]) -> list[Table]:
    evaluated = [(run, evaluation) for run in runs for evaluation in run.evaluations]
    if not evaluated:
        return []
    figures = list(
        dict.fromkeys(name for _, evaluation in evaluated for name in evaluation.figures)
    )
    rows = [
        [
            run.name,
            evaluation.name,
            evaluation.dataset,
            f"{evaluation.images:,}",
            _NOTHING if evaluation.step is None else f"{evaluation.step:,}",
            evaluation.views,
            *(
                _percent(evaluation.figures[name]) if name in evaluation.figures else _NOTHING
                for name in figures
            ),
        ]
        for run, evaluation in evaluated
    ]
    columns = ["run", "evaluation", "dataset", "images", "step", "views"]
    titles = [name.replace("_", " ").replace("iou", "IOU") for name in figures]
    return [Table("", [*columns, *titles], rows)]


def _evaluations(runs: Sequence[Run]) -> list[Picture]:
    by_classes: dict[tuple[str, ...], list] = {}
    for run in runs:
        for evaluation in run.evaluations:
            by_classes.setdefault(evaluation.class_names, []).append((run, evaluation))
    pictures = []
    for number, group in enumerate(by_classes.values(), start=1):
        labels = [_evaluation_label(run, evaluation.name) for run, evaluation in group]
        pictures.append(
            Picture(
                f"class_iou_{number}" if len(by_classes) > 1 else "class_iou",
                "IOU of each class",
                "",
                draw_class_bars([evaluation for _, evaluation in group], labels),
            )
        )
        for (_, evaluation), label in zip(group, labels, strict=True):
            pictures.append(
                Picture(
                    f"confusion_{_file_name(label)}",
                    f"Confusion matrix of {label}",
                    "A row tells where the pixels of one label went, in percent; shares below "
                    "half a percent are not written.",
                    draw_confusion_matrix(evaluation),
                    wide=len(evaluation.class_names) > 25,
                )
            )
    return pictures


def _examples(examples: Sequence[Examples]) -> list[Picture]:
    return [
        picture
        for example in examples
        for which in ("best", "worst")
        for picture in _with_figures(
            (
                f"{which}_{_file_name(example.run)}_{_file_name(example.evaluation)}",
                f"{which.capitalize()} images: {example.run}, {example.evaluation}",
                f"By the mean IOU of each image, the {which} first; whole images, one scale. "
                "Where labels have no color the pixels do not count.",
            ),
            getattr(example, which),
            wide=True,
            is_photograph=True,
        )
    ]


def _differences(runs: Sequence[Run]) -> list[Table]:
    """A table for each kind of run: their parameters are not the same."""
    tables = []
    for kind in ("search", "training", "selection"):
        compared = [run for run in runs if run.kind == kind]
        rows = [
            [name, *(_NOTHING if value is None else value for value in row)]
            for name, row in differing_values(compared).items()
        ]
        if rows:
            columns = ["parameter", *(run.name for run in compared)]
            title = {"search": "searches"}.get(kind, f"{kind}s")
            tables.append(Table(f"Where the {title} differ", columns, rows))
    return tables


def _times(runs: Sequence[Run]) -> Table:
    rows = []
    for run in runs:
        steps = run.metrics[-1]["step"] if run.metrics else 0
        started = [datetime.datetime.fromisoformat(s["started"]) for s in run.sessions]
        devices = dict.fromkeys(", ".join(s["devices"]) for s in run.sessions)
        rows.append(
            [
                run.name,
                f"{started[0]:%Y-%m-%d %H:%M} UTC" if started else _NOTHING,
                str(len(started) - 1) if started else _NOTHING,
                _duration(run.training_seconds),
                f"{run.training_seconds / steps:.3g}\u2009s" if steps else _NOTHING,
                _duration(run.validation_seconds),
                "; ".join(devices) or _NOTHING,
            ]
        )
    columns = ["run", "started", "continued", "training", "a step", "validation", "on"]
    return Table("Times", columns, rows)


def _versions(runs: Sequence[Run]) -> Table:
    packages = list(dict.fromkeys(name for run in runs for name in run.packages))
    rows = [[name, *(run.packages.get(name, _NOTHING) for run in runs)] for name in packages] or [
        ["not recorded", *(_NOTHING for _ in runs)]
    ]
    return Table("Versions", ["package", *(run.name for run in runs)], rows)


def _with_figures(
    text: tuple[str, str, str], figure: Figure | None, **kwargs: Any
) -> list[Picture]:
    """Returns the picture, or nothing where there was nothing to draw."""
    return [] if figure is None else [Picture(*text, figure, **kwargs)]


def _evaluation_label(run: Run, evaluation: str) -> str:
    return run.name if len(run.evaluations) == 1 else f"{run.name}, {evaluation}"


def _description(run: Run) -> DatasetDescription | None:
    return DatasetDescription.load(run.path) if (run.path / "dataset.json").exists() else None


def _file_name(text: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in text)


def _percent(share: float) -> str:
    return _NOTHING if math.isnan(share) else f"{share:.2%}"


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = ((days, "d"), (hours, "h"), (minutes, "min"), (seconds, "s"))
    # The two largest tell enough.
    return " ".join([f"{value}\u2009{unit}" for value, unit in parts if value][:2]) or "0\u2009s"
