"""The supernet: every choice of the search space relaxed into one differentiable network.

`textbook` is the paper's section 4.1 as it stands, in one file: read it first. What runs is
`supernet` (the whole network), `trellis`, `node` and `cell`, which compute the same;
`mixed_operations` evaluates all operations on all edges that leave a state. What makes it fast is
below two boundaries: `grouped` holds the forms of the operations, and nothing above
`mixed_operations` knows how they work; `segment` runs layers that are alike, through
`shared_function`, which builds what they have in common once and recomputes for the gradient.
"""
