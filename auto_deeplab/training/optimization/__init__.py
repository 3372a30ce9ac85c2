"""One step: the loss, its gradients, and what they do to the weights."""
