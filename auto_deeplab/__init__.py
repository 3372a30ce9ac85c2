"""Auto-DeepLab in TensorFlow 2: search, retrain, evaluate and deploy segmentation networks."""

import os

# TF Model Garden is written on Keras 2. TensorFlow reads this when it is first imported, and
# importing any module of this package runs this line first: it is set nowhere else.
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
# TensorFlow leaves oneDNN off on x86 processors without AVX-512, where it is twice as fast too.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
# TensorFlow reports on the processor and on missing GPUs; 0 brings the reports back.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

__version__ = "0.1.0"
