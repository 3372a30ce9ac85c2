"""What a selection writes: its candidates, and the best of them as a genotype file."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from auto_deeplab.foundations import json_files
from auto_deeplab.runs.model_dir import GENOTYPE_NAME
from auto_deeplab.runs.selection import Candidate, SelectionDir, best_candidate
from auto_deeplab.runs.versions import package_versions


@dataclasses.dataclass(frozen=True)
class Outcome:
    """Writes what is known so far.

    Args:
        folder: Of the selection.
        rung_steps: The length of each rung's trainings.
        seeds: By name.
        config: The gin configuration of the trainings.
    """

    folder: SelectionDir
    rung_steps: Sequence[int]
    seeds: Mapping[str, int]
    config: str

    def publish(self, candidates: Sequence[Candidate]) -> None:
        """Writes all candidates, and the best of them as genotype.json."""
        self.folder.write_candidates(candidates)
        best = best_candidate(candidates)
        if best is None:
            return
        text = dataclasses.replace(
            best.genotype, provenance=self._provenance(best, candidates)
        ).to_json()
        json_files.write_text(self.folder.path / GENOTYPE_NAME, text)

    def _provenance(self, best: Candidate, candidates: Sequence[Candidate]) -> dict[str, Any]:
        trained = [each for each in candidates if each.rungs]
        return {
            "selection": {
                "candidate": best.number,
                "origin": best.origin,
                "source": best.source,
                "candidates": len(trained),
                "rungs": [
                    {
                        "steps": steps,
                        "candidates": sum(len(each.rungs) > rung for each in trained),
                    }
                    for rung, steps in enumerate(self.rung_steps)
                ],
            },
            "trainings": [
                each.model_dump(include={"steps", "seed", "mean_iou"}) for each in best.rungs
            ],
            "parameters": best.parameters,
            "multiply_adds": best.multiply_adds,
            "seeds": dict(self.seeds),
            "packages": package_versions(),
            "gin_config": self.config,
        }
