"""How benchmarks measure: turns between what is compared, memory, profiles, work in graphs."""
