"""The folder by which several processes, or hosts that see one file system, share trainings.

  setting.json           what all trainings have in common
  results/KEY.json       a finished training, written whole or not at all
  claims/KEY             somebody trains it: the file is touched while that goes on

The training of a killed process is taken up again, see `foundations/claims.py`.
"""

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from auto_deeplab.foundations import json_files
from auto_deeplab.foundations.claims import STALE_SECONDS, TOUCH_SECONDS, Claims
from auto_deeplab.foundations.errors import UserError
from auto_deeplab.foundations.kept_setting import keep_setting


@dataclasses.dataclass(frozen=True)
class SharedFolder:
    """Results and claims of trainings.

    Args:
        path: The folder; it is made when something is written.
        stale_seconds: How long a claim stands that is not touched.
        touch_seconds: How often a claim is touched.
    """

    path: Path
    stale_seconds: float = STALE_SECONDS
    touch_seconds: float = TOUCH_SECONDS

    def agree_on(self, setting: Mapping[str, Any]) -> None:
        """Keeps what all results have in common, or compares it with what is kept.

        Raises:
            UserError: The folder has results of another setting.
        """
        keep_setting(self.path / "setting.json", setting, "folder")

    def setting(self) -> dict[str, Any]:
        """Returns what `agree_on` kept.

        Raises:
            UserError: There is nothing yet.
        """
        path = self.path / "setting.json"
        if not path.exists():
            raise UserError(f"--folder: {self.path} has no results; expected those of a training")
        setting: dict[str, Any] = json_files.read(path)
        return setting

    def finished(self) -> set[str]:
        """Returns the keys of all results."""
        return {path.stem for path in self._results.glob("*.json")}

    def result(self, key: str) -> Any:
        """Returns a result, as JSON values."""
        return json_files.read(self._results / f"{key}.json")

    def write_result(self, key: str, result: Mapping[str, Any]) -> None:
        """Writes a result, whole or not at all."""
        json_files.write(self._results / f"{key}.json", result)

    def claimed(self) -> set[str]:
        """Returns the keys of those claims that somebody keeps."""
        return self._claims.claimed()

    @contextlib.contextmanager
    def claim(self, key: str) -> Iterator[bool]:
        """Claims a training while the block runs; yields whether it was to be had.

        It is not where somebody else has it, or where its result is there.

        Raises:
            UserError: The file system refuses.
        """
        with self._claims.claim(key) as is_ours:
            # Its result may have appeared since the caller looked.
            yield is_ours and key not in self.finished()

    @property
    def _results(self) -> Path:
        return self.path / "results"

    @property
    def _claims(self) -> Claims:
        return Claims(self.path / "claims", self.stale_seconds, self.touch_seconds)
