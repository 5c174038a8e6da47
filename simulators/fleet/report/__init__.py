"""The result of a run: journals, accounting, figures and verdicts."""
