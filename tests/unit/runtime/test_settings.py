"""Strict settings from TOML and the environment."""

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
    """An optional section with one required key."""

    path: Path
    after_s: Seconds = 5.0


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The settings of a program."""

    name: str
    mode: Literal["slow", "fast"] = "slow"
    log: LogSettings = LogSettings()
    http: HttpSettings = HttpSettings()
    purge: Purge | None = None
    workers: PositiveInt = 1
    keys: list[Path] = []


class Bounds(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Two settings that depend on each other."""

    low: int = 1
    high: int = 2

    def __post_init__(self) -> None:
        if self.low >= self.high:
            raise ValueError("low is not below high")


class Bounded(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Settings with a section that checks itself."""

    bounds: Bounds = Bounds()


class Connected(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Settings with a nested section."""

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
    """Return the reason for which *text* and *environ* are refused."""
    with pytest.raises(ConfigError) as raised:
        read(text, path, **environ)
    error = raised.value
    # Each error must name its place, so that a reader can repair it.
    for part in (error.key, error.source, error.problem, error.remedy):
        assert part
        assert part in str(error)
    return error


def test_file_sets_values(write: Path) -> None:
    """TOML tables are sections, and missing keys have their defaults."""
    text = 'name = "a"\nkeys = ["/k"]\n[http]\nport = 9000\n[purge]\npath = "/p"\n'

    assert read(text, write) == Settings(
        name="a", http=HttpSettings(port=9000), purge=Purge(path=Path("/p")), keys=[Path("/k")]
    )


def test_environment_wins(write: Path) -> None:
    """An environment variable overrides its key of the file."""
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
    """Without a file the environment is sufficient."""
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
    """An unknown key is refused."""
    error = refused(text, write)

    assert error.key == key
    assert error.source == str(write)
    assert "Remove it, or use " in error.remedy


def test_unknown_key_is_told_what_may_be_meant(write: Path) -> None:
    """The error for an unknown key suggests a similar key of its section, or lists all."""
    assert "use http.port" in refused('name = "a"\n[http]\nprot = 1\n', write).remedy
    everything = refused('name = "a"\n[http]\nqqqqqqqqqqqqqqqqqqqqqq = 1\n', write).remedy
    assert "one of: http.host, http.port." in everything


def test_unknown_variable_is_refused(write: Path) -> None:
    """An unknown variable with the program's prefix is refused."""
    error = refused('name = "a"\n', write, VITALVEIL_X_HTTP_PRT="1")

    assert error.key == "VITALVEIL_X_HTTP_PRT"
    assert error.source == "the environment"
    assert "VITALVEIL_X_HTTP_PORT" in error.remedy


def test_missing_key_is_refused(write: Path) -> None:
    """A missing required key is refused with both ways to set it."""
    error = refused("", write)

    assert error.key == "name"
    assert error.source == str(write)
    assert "VITALVEIL_X_NAME" in error.remedy


def test_section_that_is_begun_has_to_be_complete(write: Path) -> None:
    """An optional section may be absent, but not incomplete."""
    assert read('name = "a"\n', write).purge is None
    assert refused('name = "a"\n[purge]\nafter_s = 1.0\n', write).key == "purge.path"


def test_required_section_asks_for_all_that_it_needs() -> None:
    """For a missing required section the error lists each of its keys, nested ones too."""
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
    """A value of the wrong type or range is refused; TOML values are not converted."""
    error = refused(text, write)

    assert error.key == key
    assert error.source == str(write)


def test_wrong_variable_names_itself(write: Path) -> None:
    """If the value came from the environment, the error names the variable."""
    error = refused('name = "a"\nworkers = 2\n', write, VITALVEIL_X_WORKERS="many")

    assert error.key == "workers"
    assert error.source == "$VITALVEIL_X_WORKERS"


@pytest.mark.parametrize("name", ["MODE", "WORKERS", "HTTP_PORT", "PURGE_AFTER_S", "LOG_LEVEL"])
def test_value_is_never_in_an_error(write: Path, name: str) -> None:
    """No error contains the value, because it may be a secret."""
    error = refused('name = "a"\n', write, **{f"VITALVEIL_X_{name}": "hunter2"})

    assert "hunter2" not in str(error)


def test_choice_is_told_its_values(write: Path) -> None:
    """For a closed set of words the error lists them."""
    assert refused('name = "a"\nmode = "x"\n', write).remedy == "Use one of: slow, fast."


def test_values_that_contradict_each_other_name_their_sources(write: Path) -> None:
    """Contradicting values are refused with the sources of both."""
    write.write_text("[bounds]\nlow = 5\n")
    with pytest.raises(ConfigError) as raised:
        load(Bounded, program="x", path=write, environ={"VITALVEIL_X_BOUNDS_HIGH": "3"})

    assert raised.value.key == "bounds"
    assert raised.value.source == f"$VITALVEIL_X_BOUNDS_HIGH, {write}"
    assert raised.value.problem == "low is not below high"


@pytest.mark.parametrize("content", [b"name = ", b"\xff", b"= 3", None])
def test_file_that_cannot_be_read_is_refused(write: Path, content: bytes | None) -> None:
    """A file that is missing, binary or invalid TOML is refused with the option and the path."""
    if content is not None:
        write.write_bytes(content)
    with pytest.raises(ConfigError) as raised:
        load(Settings, program="x", path=write, environ={})

    assert raised.value.key == "--config"
    assert raised.value.source == str(write)


def test_every_key_has_a_twin() -> None:
    """Every key has an environment variable; the reference is generated from this list."""
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
