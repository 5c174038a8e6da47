"""What the command of the benchmark takes."""

import pytest

from benchmarks.cli import main


@pytest.mark.parametrize("rounds", ["0", "-1", "few"])
def test_rounds_that_measure_nothing_are_refused(
    rounds: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """None at all is not the usual number."""
    with pytest.raises(SystemExit, match="2"):
        main(["--rounds", rounds])
    assert "--rounds" in capsys.readouterr().err
