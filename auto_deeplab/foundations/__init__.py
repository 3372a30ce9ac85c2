"""What everything else stands on: files, values, errors."""
