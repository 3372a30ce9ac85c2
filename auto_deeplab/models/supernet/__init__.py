"""The supernet: every choice of the search space relaxed into one differentiable network.

`textbook` is the paper's section 4.1 as it stands, in one file: read it first. What runs is
`supernet` (the whole network), `trellis`, `node` and `cell`, which compute the same, and
`layer_stack`, which runs layers that are alike. What makes it fast is in `fast`.

`single_path` computes one architecture at a time with the same weights: its kernels are found by
`path_kernels`, its operations are those of `path_parts`, which `traced_path_parts` has in graphs.
"""
