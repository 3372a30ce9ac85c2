"""Pictures of architectures and of predictions."""
