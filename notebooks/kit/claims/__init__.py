"""Claims that are written before their runs, the records of these runs, and verdicts."""
