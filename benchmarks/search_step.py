"""Measures a step of the search: both updates of the supernet, and inference.

Images and labels are random, from a fixed seed; the updates are whole: gradients, weight decay,
SGD with momentum for the weights, Adam for alpha and beta. Each measurement has a process of its
own and runs as gin_configs/base/search.gin sets TensorFlow up.

Examples:
  python -m benchmarks.search_step --steps=3 --json         # the paper's setting
  python -m benchmarks.search_step --gin_param="Supernet.recompute = 'layer'"
  python -m benchmarks.search_step --sweep
  python -m benchmarks.search_step --profile=weights
  python -m benchmarks.search_step --crop=65 --layers=2 --export_stablehlo=step.stablehlo
"""

import json
import sys
from pathlib import Path

from absl import flags

from auto_deeplab import command_line
from auto_deeplab.foundations.errors import UserError
from benchmarks.measuring import supernet_flags
from benchmarks.measuring.search_step_process import MEASURED, run_worker, sweep

UPDATES = ("weights", "arch")

_setting = supernet_flags.define_flags(
    crop=321, batch=2, layers=12, blocks=5, filters=8, classes=19
)
_STEPS = flags.DEFINE_integer("steps", 5, "Steps that count, after a first one.", lower_bound=1)
_JIT = flags.DEFINE_bool("jit_compile", False, "Compile both updates with XLA.")
_GIN_PARAM = flags.DEFINE_multi_string("gin_param", [], 'A gin binding: "name = value".')
_JSON = flags.DEFINE_bool("json", False, "Print one JSON line for each process.")
_SWEEP = flags.DEFINE_bool("sweep", False, "Show how cost grows with L, crop, batch and F.")
_PROFILE = flags.DEFINE_enum("profile", None, UPDATES, "Account for the time of this update.")
_EXPORT = command_line.define_path("export_stablehlo", None, "Write an update as StableHLO here.")
_UPDATE = flags.DEFINE_enum("update", "weights", UPDATES, "What --export_stablehlo writes.")
_REPLACE = flags.DEFINE_bool("replace", False, "Let --export_stablehlo replace a file.")


def main(argv: list[str]) -> None:
    del argv
    setting = _setting()
    gin_params = _GIN_PARAM.value
    if _EXPORT.value is not None:
        if Path(_EXPORT.value).exists() and not _REPLACE.value:
            raise UserError(
                f"--export_stablehlo: {_EXPORT.value} exists; give another name or --replace"
            )
        written = run_worker(
            "export_stablehlo",
            setting=setting,
            update=_UPDATE.value,
            path=_EXPORT.value,
            gin_params=gin_params,
        )
        if _JSON.value:
            print(json.dumps(written))
        else:
            print(f"done: {written['characters']:,} characters in {written['path']}")
    elif _PROFILE.value is not None:
        told = run_worker(
            "profile",
            setting=setting,
            steps=_STEPS.value,
            update=_PROFILE.value,
            gin_params=gin_params,
        )
        print(json.dumps(told)) if _JSON.value else _print_profile(told)
    else:
        common = {
            "steps": _STEPS.value,
            "jit_compile": _JIT.value,
            "gin_params": gin_params,
        }
        if _SWEEP.value:
            results = sweep(setting, common)
            if _JSON.value:
                for result in results:
                    print(json.dumps(result))
            else:
                for result in results:
                    _print_sweep(result)
        else:
            told = run_worker("measure", setting=setting, **common)
            if _JSON.value:
                print(json.dumps(told))
            else:
                _print_rows([told], "crop", told["crop"])


def _number(value: float) -> str:
    return f"{value:,.2f}" if isinstance(value, float) and value < 1000 else f"{value:,.0f}"


def _print_rows(rows, axis, title, footer=()):
    from rich.console import Console
    from rich.table import Table

    table = Table(title=str(title))
    table.add_column(axis)
    for heading in MEASURED.values():
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(str(row[axis]), *(_number(row[name]) for name in MEASURED))
    for cells in footer:
        table.add_row(*cells)
    Console(width=None if sys.stdout.isatty() else 140).print(table)


def _print_sweep(result):
    axis, fits = result["axis"], result["fits"]
    unit = axis if result["power"] == 1 else f"{axis}^{result['power']}"
    footer = [
        (f"for each {unit}", *(f"{fits[name]['slope']:.3g}" for name in MEASURED)),
        (f"at {unit} 0", *(_number(fits[name]["at_zero"]) for name in MEASURED)),
        ("off the line", *(f"{fits[name]['largest_deviation']:.0%}" for name in MEASURED)),
    ]
    _print_rows(result["rows"], axis, f"{axis}: {unit} should be linear", footer)


def _print_profile(told):
    from rich.console import Console
    from rich.table import Table

    matmul, memcpy = told["matmul_gmacs"], told["memcpy_gbytes"]
    table = Table(
        title=f"{told['update']} update, {told['step_seconds']:.2f} s a step. One thread's "
        f"rates: {matmul:.0f} G multiply-adds/s (matmul), {memcpy:.1f} GB/s (memcpy)"
    )
    for heading in ("operation", "stride"):
        table.add_column(heading)
    for heading in ("calls", "thread s", "G mult-adds", "GB", "of matmul", "of memcpy"):
        table.add_column(heading, justify="right")
    for row in told["rows"][:40]:
        seconds = max(row["seconds"], 1e-9)
        table.add_row(
            row["op"],
            str(row["stride"] or "-"),
            f"{row['calls']:.0f}",
            f"{seconds:.3f}",
            f"{row['macs'] / 1e9:.2f}" if row["macs"] else "",
            f"{row['bytes'] / 1e9:.2f}",
            f"{row['macs'] / seconds / matmul / 1e9:.0%}" if row["macs"] else "",
            f"{row['bytes'] / seconds / memcpy / 1e9:.0%}",
        )
    total = {
        name: sum(row[name] for row in told["rows"])
        for name in ("calls", "seconds", "macs", "bytes")
    }
    table.add_row(
        "all",
        "",
        f"{total['calls']:.0f}",
        f"{total['seconds']:.3f}",
        f"{total['macs'] / 1e9:.2f}",
        f"{total['bytes'] / 1e9:.2f}",
    )
    Console(width=None if sys.stdout.isatty() else 120).print(table)


if __name__ == "__main__":
    command_line.run(main)
