"""What benchmarks run in processes of their own, one measurement after the other."""
