"""
Errors that prevent a process from starting. The operator must repair the cause.

* RuntimeSetupError
    * ConfigError       (a setting is wrong: exit with code 2)
    * SessionRefused    (a session with the database lacks a setting that is needed)

A message names the setting, the source of its value and the remedy, never the value itself.
"""


class RuntimeSetupError(Exception):
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
