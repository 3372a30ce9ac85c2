"""From the files of any dataset to TFRecords: a plan, and what carries it out."""
