"""Search and retraining: losses, updates, schedules, checkpoints, logs."""
