"""The supernet: every choice of the search space relaxed into one differentiable network.

`supernet` (the whole network), `trellis`, `node` and `cell` read like the paper's sections 3 and 4;
`mixed_operations` evaluates all operations on all edges that leave a state, `layer_stack` runs
layers that are alike. What makes it fast is in `fast`.
"""
