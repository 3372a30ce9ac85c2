"""Auto-DeepLab for TF Model Garden's own trainer: backbone, task and experiments."""
