"""Shows what runs did: one HTML page that needs nothing else, and its pictures as PNG and SVG.

Works for a search, a retraining, one that was evaluated, or several to compare. A folder of trials
stands for all of them:

  python -m auto_deeplab.report runs/search
  python -m auto_deeplab.report runs/search_trials
  python -m auto_deeplab.report runs/search runs/retrain --output=comparison.html

The page is MODEL_DIR/report.html unless --output says otherwise; the pictures go to a folder beside
it, MODEL_DIR/report. For the best and worst images each network that was evaluated predicts the
evaluated images again, in one scale; --images=0 leaves them out.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from absl import flags

from auto_deeplab import command_line
from auto_deeplab.foundations.errors import UserError

if TYPE_CHECKING:
    from auto_deeplab.runs.run import Run
    from auto_deeplab.visualization.report.sections import Examples

_OUTPUT = command_line.define_path(
    "output", None, "The HTML file; needed where there are several MODEL_DIRs."
)
_TITLE = flags.DEFINE_string("title", None, "The page's title; the folders' names by default.")
_IMAGES = flags.DEFINE_integer(
    "images", 3, "How many of the best and of the worst images to show.", lower_bound=0
)
_DATASET_DIR = command_line.define_path(
    "dataset_dir", None, "The dataset of the evaluations; by default what a run was trained on."
)
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Replace a report that exists.")


def main(argv: list[str]) -> None:
    folders = argv[1:]
    if _OUTPUT.value is None and len(folders) > 1:
        raise UserError(
            "--output: received nothing; expected the HTML file to write, such as report.html"
        )
    output = Path(_OUTPUT.value or Path(folders[0]) / "report.html")
    if output.suffix != ".html":
        raise UserError(f"--output: received {str(output)!r}; expected a name that ends with .html")
    for path in (output, output.with_suffix("")):
        if path.exists() and not _OVERWRITE.value:
            raise UserError(f"{path}: exists already; expected another --output, or --overwrite")

    from auto_deeplab.runs.run import find_runs
    from auto_deeplab.visualization.report.page import write_report
    from auto_deeplab.visualization.report.sections import build_sections

    runs = find_runs(folders)
    examples = _draw_examples(runs, _IMAGES.value) if _IMAGES.value else []
    title = _TITLE.value or ", ".join(Path(folder).resolve().name for folder in folders)
    pictures = write_report(output, title, build_sections(runs, examples))
    print(f"written to {output}, the pictures to {pictures}")


def _draw_examples(runs: Sequence["Run"], count: int) -> list["Examples"]:
    """Draws the best and the worst images of each evaluation of a network."""
    evaluated = [run for run in runs if run.evaluations]
    if not evaluated:
        return []
    from auto_deeplab.data.segmentation_records import SegmentationRecords
    from auto_deeplab.evaluation.inference import class_map_function
    from auto_deeplab.training.trained import load_trained
    from auto_deeplab.visualization.examples import best_and_worst, draw_examples
    from auto_deeplab.visualization.report.sections import Examples

    def examples_of(run: "Run") -> Iterator[Examples]:
        for evaluation in run.evaluations:
            if evaluation.checkpoint is None:  # Of an exported network, which is not in the folder.
                continue
            trained = load_trained(run.path, evaluation.checkpoint)
            predict = class_map_function(trained.model)
            dataset_dir = _DATASET_DIR.value or trained.dataset_dir
            records = SegmentationRecords(dataset_dir, evaluation.split)
            if records.description.name != evaluation.dataset:
                raise UserError(
                    f"--dataset_dir: received {dataset_dir}, which is "
                    f"{records.description.name!r}; expected {evaluation.dataset!r} for the "
                    f"evaluation {evaluation.name!r}"
                )
            figures = [
                draw_examples(kept, records.description) if kept else None
                for kept in best_and_worst(predict, records, evaluation.images, count)
            ]
            yield Examples(run.name, evaluation.name, *figures)

    drawn: list[Examples] = []
    for run in evaluated:
        try:
            drawn += examples_of(run)
        except UserError as error:
            raise UserError(f"{run.path}: {error}. --images=0 leaves the images out") from error
    return drawn


if __name__ == "__main__":
    command_line.run(main, arguments=["MODEL_DIR..."])
