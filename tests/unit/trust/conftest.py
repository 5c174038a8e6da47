"""Trust's keys for tests without a server."""

import pytest

from trust.keys import file_keys
from trust.keys.file_keys import FileKeys
from trust.ports import Keys


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    """Trust's keys."""
    folder = tmp_path_factory.mktemp("trust") / "keys"
    file_keys.create(folder)
    return FileKeys(folder)
