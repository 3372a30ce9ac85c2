"""Shows what a dataset holds: splits, counts, sizes, classes, and pictures of it.

Reads and checks every record, prints a table (JSON with --json) and draws a contact sheet: some
examples with their labels over them, as they are and as training sees them after augmentation.

Examples:
  python -m auto_deeplab.inspect_dataset datasets/camvid
  python -m auto_deeplab.inspect_dataset datasets/camvid --splits=val --json --contact_sheet=val.png
  python -m auto_deeplab.inspect_dataset datasets/camvid --crop_size=513 --scales=0.5,1,2
"""

from pathlib import Path

from absl import flags

from auto_deeplab import command_line
from auto_deeplab.foundations.errors import UserError

_SPLITS = flags.DEFINE_list(
    "splits", None, "The splits to read, all by default; pictures are of the first."
)
_JSON = flags.DEFINE_bool("json", False, "Print JSON instead of tables.")
_IGNORE_CORRUPT = flags.DEFINE_bool(
    "ignore_corrupt", False, "Report corrupt records without ending in an error."
)
_CONTACT_SHEET = command_line.define_path(
    "contact_sheet",
    None,
    "The PNG file; DATASET_DIR/contact_sheet.png by default, which is kept if it exists. Empty: "
    "none.",
)
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Replace the PNG file if it exists.")
_EXAMPLES = flags.DEFINE_integer("examples", 6, "Rows of the contact sheet.", lower_bound=1)
_CROP_SIZE = flags.DEFINE_integer(
    "crop_size",
    None,
    "The augmentation's crops; by default the largest 32k+1 that fits the first example.",
    lower_bound=1,
)
_SCALES = flags.DEFINE_list("scales", None, "The augmentation's scales; by default DeepLab's.")
_SEED = flags.DEFINE_integer("seed", 0, "Of the examples shown and of their augmentation.")

# Where no record fits the classes the list would be endless; --json has all of it.
_CORRUPT_LISTED = 20


def main(argv: list[str]) -> None:
    directory = argv[1]
    scales = _parse_scales(_SCALES.value)
    sheet = Path(directory, "contact_sheet.png") if _CONTACT_SHEET.value is None else None
    if _CONTACT_SHEET.value:
        sheet = Path(_CONTACT_SHEET.value)
        if sheet.exists() and not _OVERWRITE.value:
            raise UserError(
                f"{sheet}: exists already; expected another --contact_sheet, or --overwrite"
            )
    from auto_deeplab.data.description import DatasetDescription

    description = DatasetDescription.load(directory)
    splits = _SPLITS.value or list(description.splits)
    for split in splits:
        description.split_examples(split)

    from auto_deeplab.data.inspection import inspect_dataset
    from auto_deeplab.data.survey import corruption_report

    inspection = inspect_dataset(directory, splits)
    if _JSON.value:
        print(inspection.to_json(), end="")
    else:
        from rich.console import Console

        Console().print(*inspection.tables(), sep="\n")
    corrupt = inspection.corrupt
    if sheet is not None and (_OVERWRITE.value or not sheet.exists()):
        from auto_deeplab.visualization.contact_sheet import save_contact_sheet

        save_contact_sheet(
            sheet,
            inspection.readable(splits[0]),
            _EXAMPLES.value,
            _CROP_SIZE.value,
            scales,
            _SEED.value,
        )
        written = f"contact sheet written to {sheet}"
    else:
        written = f"contact sheet {sheet} is kept as it was; --overwrite draws it again"
    if sheet is not None and not _JSON.value:
        print(written)
    if corrupt:
        if not _IGNORE_CORRUPT.value:
            raise UserError(corruption_report(corrupt, _CORRUPT_LISTED))
        if not _JSON.value:
            print(corruption_report(corrupt, _CORRUPT_LISTED))


def _parse_scales(texts: list[str] | None) -> tuple[float, ...] | None:
    if texts is None:
        return None
    try:
        scales = tuple(float(text) for text in texts)
    except ValueError:
        scales = ()
    if not scales or not all(0 < scale < float("inf") for scale in scales):
        raise UserError(
            f"--scales: received {','.join(texts)!r}; expected positive numbers, such as 0.5,1,2"
        )
    return scales


if __name__ == "__main__":
    command_line.run(main, arguments=("DATASET_DIR",))
