"""The report on one run or several: an HTML page of sections."""
