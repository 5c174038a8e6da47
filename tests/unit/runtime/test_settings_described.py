"""Every setting of every program is described, in one place: below its field."""

from pathlib import Path
from typing import Annotated

import msgspec
import pytest
from msgspec import Meta

from edge_agent.config import AgentSettings
from ingest.config import Settings as IngestSettings
from runtime import settings
from runtime.errors import ConfigError
from runtime.settings import described
from trust.config import Settings as TrustSettings

PROGRAMS: dict[str, type[msgspec.Struct]] = {
    "agent": AgentSettings,
    "ingest": IngestSettings,
    "trust": TrustSettings,
}


class Inner(msgspec.Struct, frozen=True):
    """A section."""

    wait_s: Annotated[float, Meta(gt=0, le=60)] = 2.0
    """
    How long it
    waits.
    """
    file: Path | None = None
    """A file, as `/etc/a.toml`."""
    silent: int = 3


class Outer(msgspec.Struct, frozen=True):
    """Settings."""

    name: str
    """A name, as `Ada`."""
    inner: Inner = Inner()
    other: Inner | None = None


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_setting_is_described(program: str) -> None:
    """Description, example, and for a number its unit: none is missing."""
    for one in described(PROGRAMS[program], program=program):
        assert one.description.endswith((".", "`", ")", "?")), one.key
        assert one.example, f"{one.key}: write one into its description, as `...`"
        if one.permitted and "`" not in one.permitted:
            assert one.unit, one.key


def test_a_setting_is_described_by_the_text_below_it() -> None:
    """With its unit, its range, its example and its default."""
    found = {one.key: one for one in described(Outer, program="x")}
    wait = found["inner.wait_s"]
    assert (wait.description, wait.unit) == ("How long it waits.", "s")
    assert (wait.permitted, wait.default, wait.example) == ("> 0, ≤ 60", "2", "2")
    assert (found["inner.file"].example, found["inner.file"].default) == ("/etc/a.toml", "")
    assert found["inner.silent"].description == ""
    assert (found["name"].is_required, found["name"].optional_section) == (True, "")
    assert found["other.wait_s"].optional_section == "other"


@pytest.mark.parametrize("text", ['name = "a"\n[inner]\nwait_s = 0', "[inner]\nwait_s = 3"])
def test_an_error_says_what_the_setting_is(text: str, tmp_path: Path) -> None:
    """A wrong and a missing setting are explained where they are refused."""
    path = tmp_path / "x.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"It is: (How long it waits\.|A name)"):
        settings.load(Outer, program="x", path=path, environ={})
