"""The supernet: every choice of the search space relaxed into one differentiable network.

`supernet` (the whole network), `trellis`, `node` and `cell` read like the paper's sections 3 and 4;
`mixed_operations` evaluates all operations on all edges that leave a state. What makes it fast is
below two boundaries: `grouped` holds the forms of the operations, and nothing above
`mixed_operations` knows how they work; `segment` runs layers that are alike, through
`shared_function`, which builds what they have in common once and recomputes for the gradient.
"""
