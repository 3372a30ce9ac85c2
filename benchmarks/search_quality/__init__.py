"""How good what a search finds is, beside random architectures: docs/search_quality.md."""
