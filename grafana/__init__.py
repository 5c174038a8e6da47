"""
Dashboards, alerts and their runbooks, as code.

Names metrics and SQL views, and imports no program. The generated files are committed; `python -m
grafana.build --check` reports those that differ.
"""
