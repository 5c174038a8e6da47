"""
Errors that prevent a process from starting. The operator must repair the cause.

* Explained
    * RuntimeSetupError
        * ConfigError       (a setting is wrong: exit with code 2)
        * SessionRefused    (a session with the database lacks a setting that is needed)

The errors of each program have the base `Explained` too. The message of a ConfigError names the
setting, the source of its value and the remedy, never the value itself.
"""

from pathlib import Path

from runtime.causes.files import of_file


class Explained(Exception):
    """
    An error whose text may be shown and logged: what happened, where, and what to do.

    The text holds no secret, no health value, and no name or address of a person or a sensor.
    """


class RuntimeSetupError(Explained):
    """Base of the errors that prevent a process from starting."""


class ConfigError(RuntimeSetupError):
    """
    A setting is missing, unknown or wrong.

    Args:
        key: The TOML key with dots, an environment variable, or a command-line option.

        source: A file, an environment variable, or `the command line`.

        problem: What is wrong: a clause without a full stop.

        remedy: What the operator should do: a sentence.
    """

    def __init__(self, *, key: str, source: str, problem: str, remedy: str) -> None:
        super().__init__(f"{key} (from {source}): {problem}. {remedy}")
        self.key = key
        self.source = source
        self.problem = problem
        self.remedy = remedy


def unusable(path: Path, error: OSError | UnicodeDecodeError, *, key: str) -> ConfigError:
    """Return the error that says why the file *path*, which the setting *key* names, fails."""
    if isinstance(error, UnicodeDecodeError):
        problem, remedy = "the file is not text in UTF-8", "Write it again as UTF-8."
    else:
        cause = of_file(error)
        problem, remedy = cause.text, cause.remedy
        if error.errno is not None:
            problem = f"the file cannot be used: {problem}"
    return ConfigError(key=key, source=str(path), problem=problem, remedy=remedy)


class SessionRefused(RuntimeSetupError):
    """
    A session with the database lacks a setting that is needed, and cannot be given it.

    Args:
        name: Name of the setting.

        wanted: The value that is needed.

        remedy: Where the present value comes from, and what to do: a clause without a full stop.
    """

    def __init__(self, name: str, *, wanted: str, remedy: str) -> None:
        super().__init__(
            f"the database session needs the setting {name} to be {wanted}, but it has another"
            f" value; {remedy}"
        )
        self.name = name
