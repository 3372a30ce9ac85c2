"""Datasets: TFRecords and their description, converters, the embedded dataset, the pipeline."""
