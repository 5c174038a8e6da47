"""Settings: from TOML and the environment, strictly."""

from pathlib import Path
from typing import Literal

import msgspec
import pytest

from runtime.errors import ConfigError
from runtime.settings import (
    BrokerSettings,
    HttpSettings,
    LogSettings,
    PositiveInt,
    Seconds,
    environment_names,
    load,
)


class Purge(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A section that need not be there, with one thing that it needs."""

    path: Path
    after_s: Seconds = 5.0


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Settings of a program."""

    name: str
    mode: Literal["slow", "fast"] = "slow"
    log: LogSettings = LogSettings()
    http: HttpSettings = HttpSettings()
    purge: Purge | None = None
    workers: PositiveInt = 1
    keys: list[Path] = []


class Bounds(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Two settings that only make sense together."""

    low: int = 1
    high: int = 2

    def __post_init__(self) -> None:
        if self.low >= self.high:
            raise ValueError("low is not below high")


class Bounded(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Settings with a section that looks at itself."""

    bounds: Bounds = Bounds()


class Connected(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Settings with a section within a section."""

    broker: BrokerSettings


@pytest.fixture
def write(tmp_path: Path) -> Path:
    """The path of a TOML file."""
    return tmp_path / "x.toml"


def read(text: str, path: Path, **environ: str) -> Settings:
    """Return the settings in *text* and *environ*."""
    path.write_text(text)
    return load(Settings, program="x", path=path, environ=environ)


def refused(text: str, path: Path, **environ: str) -> ConfigError:
    """Return why *text* and *environ* are refused."""
    with pytest.raises(ConfigError) as raised:
        read(text, path, **environ)
    error = raised.value
    # Whoever reads it can find the place and repair it.
    for part in (error.key, error.source, error.problem, error.remedy):
        assert part
        assert part in str(error)
    return error


def test_file_sets_values(write: Path) -> None:
    """TOML tables are sections; what is not set has its default."""
    text = 'name = "a"\nkeys = ["/k"]\n[http]\nport = 9000\n[purge]\npath = "/p"\n'

    assert read(text, write) == Settings(
        name="a", http=HttpSettings(port=9000), purge=Purge(path=Path("/p")), keys=[Path("/k")]
    )


def test_environment_wins(write: Path) -> None:
    """Every key has a twin in the environment, which is stronger than the file."""
    settings = read(
        'name = "a"\nworkers = 2\n',
        write,
        VITALVEIL_X_NAME="b",
        VITALVEIL_X_HTTP_PORT="9000",
        VITALVEIL_X_PURGE_PATH="/p",
        VITALVEIL_X_PURGE_AFTER_S="1.5",
        VITALVEIL_Y_NAME="not ours",
        HOME="/root",
    )

    assert settings.name == "b"
    assert settings.workers == 2
    assert settings.http.port == 9000
    assert settings.purge == Purge(path=Path("/p"), after_s=1.5)


def test_environment_alone_is_enough() -> None:
    """No file is needed."""
    settings = load(Settings, program="x", path=None, environ={"VITALVEIL_X_NAME": "a"})

    assert settings == Settings(name="a")


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('name = "a"\nworker = 2\n', "worker"),
        ('name = "a"\n[http]\nprot = 1\n', "http.prot"),
        ('name = "a"\n[htp]\nport = 1\n', "htp.port"),
        ('name = "a"\nhttp = 3\n', "http"),
    ],
)
def test_unknown_key_is_refused(write: Path, text: str, key: str) -> None:
    """A typing mistake never runs silently with a default."""
    error = refused(text, write)

    assert error.key == key
    assert error.source == str(write)
    assert "Remove it, or use " in error.remedy


def test_unknown_key_is_told_what_may_be_meant(write: Path) -> None:
    """The remedy names what is written alike in the same section, or all that stands there."""
    assert "use http.port" in refused('name = "a"\n[http]\nprot = 1\n', write).remedy
    everything = refused('name = "a"\n[http]\nqqqqqqqqqqqqqqqqqqqqqq = 1\n', write).remedy
    assert "one of: http.host, http.port." in everything


def test_unknown_variable_is_refused(write: Path) -> None:
    """A variable with our prefix that we do not know is a mistake, too."""
    error = refused('name = "a"\n', write, VITALVEIL_X_HTTP_PRT="1")

    assert error.key == "VITALVEIL_X_HTTP_PRT"
    assert error.source == "the environment"
    assert "VITALVEIL_X_HTTP_PORT" in error.remedy


def test_missing_key_is_refused(write: Path) -> None:
    """What has no default has to be set; both ways of doing so are told."""
    error = refused("", write)

    assert error.key == "name"
    assert error.source == str(write)
    assert "VITALVEIL_X_NAME" in error.remedy


def test_section_that_is_begun_has_to_be_complete(write: Path) -> None:
    """An optional section may be absent, not half there."""
    assert read('name = "a"\n', write).purge is None
    assert refused('name = "a"\n[purge]\nafter_s = 1.0\n', write).key == "purge.path"


def test_required_section_asks_for_all_that_it_needs() -> None:
    """A section without a default is asked for key by key, sections within it too."""
    with pytest.raises(ConfigError) as raised:
        load(Connected, program="x", path=None, environ={})

    assert raised.value.key == "broker.tls.ca_file"
    assert raised.value.source == "the environment"


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('name = "a"\nworkers = 0\n', "workers"),
        ('name = "a"\nworkers = "2"\n', "workers"),
        ('name = "a"\n[http]\nport = 65536\n', "http.port"),
        ("name = 3\n", "name"),
        ('name = "a"\nkeys = [""]\n', "keys"),
        ('name = "a"\nkeys = [3]\n', "keys"),
    ],
)
def test_wrong_value_is_refused(write: Path, text: str, key: str) -> None:
    """The kind and the range of a value are those of its setting; TOML needs no conversion."""
    error = refused(text, write)

    assert error.key == key
    assert error.source == str(write)


def test_wrong_variable_names_itself(write: Path) -> None:
    """When the value came from the environment, that is what is to be mended."""
    error = refused('name = "a"\nworkers = 2\n', write, VITALVEIL_X_WORKERS="many")

    assert error.key == "workers"
    assert error.source == "$VITALVEIL_X_WORKERS"


@pytest.mark.parametrize("name", ["MODE", "WORKERS", "HTTP_PORT", "PURGE_AFTER_S", "LOG_LEVEL"])
def test_value_is_never_in_an_error(write: Path, name: str) -> None:
    """A secret that was put in the wrong place does not get into a log."""
    error = refused('name = "a"\n', write, **{f"VITALVEIL_X_{name}": "hunter2"})

    assert "hunter2" not in str(error)


def test_choice_is_told_its_values(write: Path) -> None:
    """Where only some words are allowed, the remedy is to use one of them."""
    assert refused('name = "a"\nmode = "x"\n', write).remedy == "Use one of: slow, fast."


def test_values_that_contradict_each_other_name_their_sources(write: Path) -> None:
    """What only makes sense together is checked together."""
    write.write_text("[bounds]\nlow = 5\n")
    with pytest.raises(ConfigError) as raised:
        load(Bounded, program="x", path=write, environ={"VITALVEIL_X_BOUNDS_HIGH": "3"})

    assert raised.value.key == "bounds"
    assert raised.value.source == f"$VITALVEIL_X_BOUNDS_HIGH, {write}"
    assert raised.value.problem == "low is not below high"


@pytest.mark.parametrize("content", [b"name = ", b"\xff", b"= 3", None])
def test_file_that_cannot_be_read_is_refused(write: Path, content: bytes | None) -> None:
    """No TOML, no text, no file: the error names the option and the path."""
    if content is not None:
        write.write_bytes(content)
    with pytest.raises(ConfigError) as raised:
        load(Settings, program="x", path=write, environ={})

    assert raised.value.key == "--config"
    assert raised.value.source == str(write)


def test_every_key_has_a_twin() -> None:
    """Documents are written from this."""
    assert environment_names(Settings, program="x") == {
        "name": "VITALVEIL_X_NAME",
        "mode": "VITALVEIL_X_MODE",
        "log.level": "VITALVEIL_X_LOG_LEVEL",
        "http.host": "VITALVEIL_X_HTTP_HOST",
        "http.port": "VITALVEIL_X_HTTP_PORT",
        "purge.path": "VITALVEIL_X_PURGE_PATH",
        "purge.after_s": "VITALVEIL_X_PURGE_AFTER_S",
        "workers": "VITALVEIL_X_WORKERS",
        "keys": "VITALVEIL_X_KEYS",
    }
