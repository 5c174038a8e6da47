"""What a run is: scenarios, limits, the plan and the roster. No I/O but the files of these."""
