"""What makes the supernet fast. Nothing above `mixed_operations` and `layer_stack` knows how.

`grouped` holds forms of the operations that run many edges at once, `kernels` pads channels to what
the processor's kernels like, `batch_norms` keeps the statistics of all edges together, and
`shared_function` builds once what layers have in common and recomputes it for the gradient.
"""
