"""The five dashboards, one file for each."""
