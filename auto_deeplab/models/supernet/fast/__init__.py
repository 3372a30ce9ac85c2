"""What makes the supernet fast. Nothing above it knows how.

`mixed_operations` evaluates all operations on all edges that leave a state, `edge_sums` adds them
up for the blocks that read them; `grouped` holds forms of the operations that run many edges at
once, `kernels` keeps the kernels of a node in one vector, `batch_norms` their statistics together,
and `shared_function` builds once what layers have in common and recomputes it for the gradient.
"""
