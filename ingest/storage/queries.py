"""The SQL statements of the running process, `sql/queries.sql`, by name."""

from typing import Final

from runtime.database.named_sql import read

QUERIES: Final = read("ingest.storage", "queries.sql")
