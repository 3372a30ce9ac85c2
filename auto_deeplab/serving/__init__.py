"""Networks outside of training: exported, loaded again, applied to people's images."""
