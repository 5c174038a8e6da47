"""What a run has shown: journals, accounting, figures and verdicts."""
