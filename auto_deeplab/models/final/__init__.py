"""The final network that a genotype describes: encoder, ASPP, decoder."""
