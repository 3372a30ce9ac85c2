"""Choosing among architectures by training them, a little at first: successive halving.

In the order in which to read:

- `settings`: `Selection`, what a gin file may set.
- `halving`: which candidate is trained next and which are eliminated, as a function of the results.
- `proposals`: where candidates come from.
- `given`: those that come from files.
- `shared_weights`: those that a supernet puts first.
- `surrogate`: those of which the results so far make one expect most.
- `costs`: what a network costs, and bands of that.
- `budget`: how long it may go on.
- `study`: the candidates and their results as an Optuna study.
- `retraining`: a candidate's training, as `train` does it.
- `work`: a worker, one of any number that share a study.
- `session`: all of it put together.
- `outcome`: what is written of it.
"""
