"""Keys of trust for tests that need no server."""

import pytest

from trust.keys import file_keys
from trust.keys.file_keys import FileKeys
from trust.ports import Keys


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    """Keys of trust."""
    folder = tmp_path_factory.mktemp("trust") / "keys"
    file_keys.create(folder)
    return FileKeys(folder)
