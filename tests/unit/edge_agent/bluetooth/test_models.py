"""The file of quirks by model."""

from pathlib import Path

import pytest

from edge_agent.bluetooth import models
from edge_agent.gatt.quirks import CrcKind, Quirks
from runtime.errors import ConfigError


def test_a_file_tells_quirks_by_model(tmp_path: Path) -> None:
    """Each table of the file is a model, and each key a quirk."""
    path = tmp_path / "models.toml"
    path.write_text('["CGM-1"]\nwarning_first = true\ncrc = "ccitt_false"\n[Meter]\n')

    assert models.read(path) == {
        "CGM-1": Quirks(warning_first=True, crc=CrcKind.CCITT_FALSE),
        "Meter": Quirks(),
    }


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("[x", id="no TOML"),
        pytest.param("[x]\nwarning_frist = true", id="a typing mistake"),
        pytest.param("x = 1", id="no table"),
        pytest.param(None, id="no file"),
    ],
)
def test_a_mistake_is_told_at_the_start(tmp_path: Path, text: str | None) -> None:
    """A mistake in the file is reported at the start."""
    path = tmp_path / "models.toml"
    if text is not None:
        path.write_text(text)

    with pytest.raises(ConfigError, match="quirks_file"):
        models.read(path)
