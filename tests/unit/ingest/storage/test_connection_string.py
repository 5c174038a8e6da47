"""The causes of database errors."""

import psycopg
import pytest

from ingest.errors import StoreError, Unavailable, Unusable
from ingest.storage.database import mapped_errors


@pytest.mark.parametrize(
    ("text", "kind", "meaning"),
    [
        pytest.param(
            'root certificate file "/x/root.crt" does not exist',
            Unusable,
            "sslrootcert",
            id="not taken for a database that is not there",
        ),
        pytest.param(
            'FATAL: database "vv" does not exist',
            Unusable,
            "the database in dsn does not exist",
            id="it",
        ),
        pytest.param(
            'FATAL: no pg_hba.conf entry for host "10.0.0.1", user "vv_ingest"',
            Unavailable,
            "pg_hba.conf",
            id="from elsewhere",
        ),
        pytest.param(
            "SSL error: certificate verify failed", Unavailable, "certificate", id="another's"
        ),
        pytest.param("anything else", Unavailable, "no connection", id="unknown"),
    ],
)
async def test_refusals_say_what_they_mean(
    text: str, kind: type[StoreError], meaning: str
) -> None:
    """An error contains its cause, and not the library's text, which names hosts and roles."""
    with pytest.raises(kind, match=meaning) as raised:
        async with mapped_errors():
            raise psycopg.OperationalError(text)
    assert "10.0.0.1" not in str(raised.value)
    assert "vv_ingest" not in str(raised.value)
