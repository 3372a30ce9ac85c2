"""What of a gin configuration is compared."""

import pytest

from auto_deeplab.foundations.errors import UserError
from auto_deeplab.runs.setting import comparable_values

CONFIG = """
import auto_deeplab.training.retrain

CROP = 33
auto_deeplab.training.retrain.Retrain.steps = 9
Retrain.seed = 3
val/training_batches.crop_size = %CROP
configure_runtime.intra_op_threads = 1
configured_job.job = @Retrain()
"""


def test_values_are_named_without_modules_and_own_ones_left_out():
    assert comparable_values(CONFIG, {"Retrain.seed", "configure_runtime"}) == {
        "CROP": "33",
        "Retrain.steps": "9",
        "configured_job.job": "@Retrain()",
        "val/training_batches.crop_size": "%CROP",
    }


def test_what_is_no_configuration_is_refused():
    with pytest.raises(UserError, match="the gin configuration"):
        comparable_values("Retrain.steps = ", ())
