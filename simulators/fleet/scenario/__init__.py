"""The description of a run: scenario, limits, plan and roster. No I/O but the files of these."""
