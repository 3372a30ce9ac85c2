"""How the files of each known dataset, or of a folder of one's own, make a conversion's plan."""
