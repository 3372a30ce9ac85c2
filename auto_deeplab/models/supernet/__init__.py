"""The supernet: every choice of the search space relaxed into one differentiable network.

`supernet` (the whole network), `trellis`, `node` and `cell` read like the paper's sections 3 and 4;
`segment` runs layers that are alike as a loop; `mixed_operations` evaluates all operations on all
edges that leave a state. `grouped` holds the kernels that make this fast, and nothing above
`mixed_operations` knows how they work.
"""
