"""The five dashboards, one module each."""
