"""The supernet: every choice of the search space relaxed into one differentiable network.

`textbook` is the paper's section 4.1 as it stands, in one file: read it first. What runs is
`supernet` (the whole network), `trellis`, `node` and `cell`, which compute the same, and
`layer_stack`, which runs layers that are alike. What makes it fast is in `fast`.
"""
