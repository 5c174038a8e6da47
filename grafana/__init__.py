"""
Dashboards, alerts and their runbooks, as code.

Knows the names of metrics and of SQL views, and never a program behind them. What is generated is
committed; `python -m grafana.build --check` says when it is not what the code says.
"""
