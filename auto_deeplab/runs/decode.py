"""Decoding what a search left in its model_dir."""

import dataclasses
import os
import re
from pathlib import Path
from typing import Any, NamedTuple

from auto_deeplab.foundations import gin_files, json_files
from auto_deeplab.foundations.errors import UserError, argument
from auto_deeplab.runs.model_dir import CONFIG_NAME, GENOTYPE_NAME, HISTORY_NAME
from auto_deeplab.runs.versions import package_versions
from auto_deeplab.search_space.genotype import Genotype
from auto_deeplab.search_space.history import HistoryEntry, read_history
from auto_deeplab.search_space.perturbation import PerturbationEffects


class Decoded(NamedTuple):
    """A decoded search. `written` is False where `path` held this very genotype already."""

    genotype: Genotype
    entry: HistoryEntry
    path: Path
    written: bool


def read_epoch(model_dir: str | os.PathLike, epoch: int | None = None) -> HistoryEntry:
    """Returns what a search had found at the end of `epoch`, or of its last one.

    Raises:
        UserError: There is no such folder, history or epoch.
    """
    if not Path(model_dir).is_dir():
        raise UserError(
            f"{argument('model_dir')}: received {str(model_dir)!r}, which is no folder; expected a "
            "search's folder"
        )
    path = Path(model_dir) / HISTORY_NAME
    history = read_history(path)
    if not history:
        raise UserError(f"{path}: holds no epoch yet; expected one line an epoch")
    if epoch is None:
        return history[-1]
    for entry in history:
        if entry.epoch == epoch:
            return entry
    raise UserError(
        f"{argument('epoch')}: received {epoch}; expected one of {path}, which has the epochs "
        f"{history[0].epoch} to {history[-1].epoch}"
    )


def decode_model_dir(
    model_dir: str | os.PathLike,
    epoch: int | None = None,
    output: str | os.PathLike | None = None,
    name: str | None = None,
    overwrite: bool = False,
    most_skips: int | None = None,
    effects: PerturbationEffects | None = None,
) -> Decoded:
    """Decodes a search and writes the genotype, with its provenance.

    Args:
        model_dir: The search's folder, with architecture.jsonl and, for the provenance, config.gin.
        epoch: Which epoch to decode; by default the last.
        output: The file to write; by default genotype.json in `model_dir`.
        name: The genotype's name; by default the folder's.
        overwrite: Whether to replace a file that holds another genotype.
        most_skips: How many branches of the cell may be `skip`; by default as many as the search's
            `Search.most_skips` allows.
        effects: What chooses the cell; by default alpha does.

    Raises:
        UserError: There is nothing to decode, or the file holds something else already.
    """
    entry = read_epoch(model_dir, epoch)
    if most_skips is None:
        most_skips = _configured_most_skips(Path(model_dir))
    provenance = _provenance(Path(model_dir), entry)
    if most_skips is not None:
        provenance["most_skips"] = most_skips
    if effects is not None:
        provenance["perturbation"] = effects.to_json_dict()
    genotype = entry.relaxation.decode(
        name or Path(model_dir).resolve().name, provenance, most_skips
    )
    if effects is not None:
        genotype = dataclasses.replace(genotype, cell=effects.decode(most_skips))
    path = Path(output) if output else Path(model_dir) / GENOTYPE_NAME
    if path.is_file() and path.read_bytes() == genotype.to_json().encode():
        return Decoded(genotype, entry, path, written=False)
    if path.exists() and not overwrite:
        raise UserError(
            f"{path}: exists already and differs from what epoch {entry.epoch} decodes to; "
            f"expected another {argument('output')}, or {argument('overwrite', True)}"
        )
    genotype.save(path, overwrite=overwrite)
    return Decoded(genotype, entry, path, written=True)


def _configured_most_skips(model_dir: Path) -> int | None:
    """Returns how many skips a search allows what it decodes to; None for all.

    Raises:
        UserError: Its configuration is not in gin's language, or has something else there.
    """
    path = model_dir / CONFIG_NAME
    if not path.is_file():
        return None
    bindings = gin_files.read_bindings(json_files.read_text(path), str(path))
    values = {binding.name: binding.value for binding in bindings}
    value = values.get("Search.most_skips")
    if value is not None and (type(value) is not int or value < 0):
        raise UserError(
            f"{path}: Search.most_skips: received {value!r}; expected a whole number >= 0, or None"
        )
    return value


def _provenance(model_dir: Path, entry: HistoryEntry) -> dict[str, Any]:
    provenance = {"epoch": entry.epoch, "step": entry.step, "packages": package_versions()}
    config_path = model_dir / CONFIG_NAME
    if config_path.is_file():
        config = json_files.read_text(config_path)
        provenance["seeds"] = {
            seed_name: int(value)
            for seed_name, value in re.findall(r"^(\S*seed)[ ]*=[ ]*(-?\d{1,18})\b", config, re.M)
        }
        provenance["gin_config"] = config
    provenance["relaxation"] = entry.relaxation.to_json_dict()
    return provenance
