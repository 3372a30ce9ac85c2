"""How good a network's class maps are."""
