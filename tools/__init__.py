"""Commands around the package: converters of data sets, and a test of interrupted trainings."""
