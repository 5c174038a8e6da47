"""The arguments of the benchmark's command."""

import pytest

from benchmarks.cli import main


@pytest.mark.parametrize("rounds", ["0", "-1", "few"])
def test_rounds_that_measure_nothing_are_refused(
    rounds: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A number of rounds below 1 is refused, and not replaced by the usual number."""
    with pytest.raises(SystemExit, match="2"):
        main(["--rounds", rounds])
    assert "--rounds" in capsys.readouterr().err
