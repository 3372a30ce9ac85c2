"""Optimizers of TensorFlow Addons for gin files.

TensorFlow Addons is archived: it has no release for Python 3.12 and later, and no part of this
project needs it. In a gin file:

  import auto_deeplab.training.addons_optimizers
  Retrain.optimizer = @LAMB
  LAMB.weight_decay_rate = 1e-4
"""

import sys

import tf_keras.src.engine.keras_tensor

from auto_deeplab.foundations.configurable import external_configurable
from auto_deeplab.foundations.errors import UserError
from auto_deeplab.training.optimization.optimizers import COMMON, GIVEN

NAMES = (
    "AdaBelief",
    "AdamW",
    "LAMB",
    "LazyAdam",
    "NovoGrad",
    "RectifiedAdam",
    "SGDW",
    "Yogi",
)


def _import_addons():
    # It looks for Keras 2 where TensorFlow up to 2.15 had it.
    sys.modules.setdefault("keras.src.engine", tf_keras.src.engine)
    sys.modules.setdefault("keras.src.engine.keras_tensor", tf_keras.src.engine.keras_tensor)
    try:
        import tensorflow_addons
    except ImportError as error:
        raise UserError(
            "auto_deeplab.training.addons_optimizers: TensorFlow Addons cannot be imported "
            f"({error}): it is archived and has releases for Python 3.11 and older only; "
            "expected an optimizer of Keras, such as Retrain.optimizer = @Adam, or Python 3.11 "
            "with tensorflow-addons==0.23.0"
        ) from error
    return tensorflow_addons


for _name in NAMES:
    external_configurable(getattr(_import_addons().optimizers, _name), "addons", COMMON, GIVEN)
