"""The progress bar of a training."""

import sys
import time
from collections.abc import Callable, Mapping

import tf_keras
from tqdm import tqdm

# What a training's figures take should not be felt.
_SECONDS_BETWEEN_FIGURES = 5.0


class ProgressBar(tf_keras.callbacks.Callback):
    """Shows epoch, step, losses, steps a second and the time left, over the whole training.

    Args:
        total_steps: The steps of the whole training.
        finished_steps: How many of them an earlier run has made.
        epochs: The number of epochs.
        is_shown: Whether there is anything to be seen of it; of several workers one shows it.
        figures: Returns what to show behind the losses, by name.
    """

    def __init__(
        self,
        total_steps: int,
        finished_steps: int,
        epochs: int,
        is_shown: bool = True,
        figures: Callable[[], Mapping[str, str]] = dict,
    ):
        super().__init__()
        self._figures = figures
        self._shown_figures: Mapping[str, str] = {}
        self._next_figures = 0.0
        self._epochs = epochs
        self._is_shown = is_shown
        self._bar = tqdm(
            total=total_steps,
            initial=finished_steps,
            unit="step",
            dynamic_ncols=True,
            smoothing=0.1,
            # In a file each update is a line of its own.
            mininterval=0.1 if sys.stderr.isatty() else 10.0,
            disable=not is_shown,
        )

    def on_epoch_begin(self, epoch, logs=None):
        """Shows the epoch, counted from 1."""
        self._bar.set_description(f"epoch {epoch + 1}/{self._epochs}")

    def on_train_batch_end(self, batch, logs=None):
        """Advances by one step."""
        if self._is_shown and time.monotonic() >= self._next_figures:
            self._shown_figures = self._figures()
            self._next_figures = time.monotonic() + _SECONDS_BETWEEN_FIGURES
        losses = {name: f"{float(value):.4f}" for name, value in (logs or {}).items()}
        self._bar.set_postfix({**losses, **self._shown_figures}, refresh=False)
        self._bar.update()

    def write(self, line: str, always: bool = False) -> None:
        """Prints a line above the bar, where one is shown, or always."""
        if self._is_shown or always:
            self._bar.write(line)

    def close(self) -> None:
        """Ends the bar."""
        self._bar.close()
