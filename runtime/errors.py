"""
Errors of starting a process.

* RuntimeSetupError
    * ConfigError       (the operator's: refuse to start, exit 2)
    * SessionRefused    (the operator's: the database's session is not as our statements need it)

A message names the key, where its value came from and the mend; never the value itself.
"""


class RuntimeSetupError(Exception):
    """A process cannot start."""


class ConfigError(RuntimeSetupError):
    """
    A setting is missing, unknown or wrong.

    Args:
        key: The TOML key, dotted.

        source: Where the value came from: a file or an environment variable.

        problem: What is wrong with it.

        mend: What to do.
    """

    def __init__(self, *, key: str, source: str, problem: str, mend: str) -> None:
        super().__init__(f"{key} (from {source}): {problem}. {mend}")
        self.key = key
        self.source = source
        self.problem = problem
        self.mend = mend


class SessionRefused(RuntimeSetupError):
    """
    A session with the database does not have a setting that is relied on, and cannot be given it.

    Args:
        name: The setting.

        wanted: What it has to be.

        remedy: Where its value comes from, and what to do: a clause without a full stop.
    """

    def __init__(self, name: str, *, wanted: str, remedy: str) -> None:
        super().__init__(
            f"the session with the database needs the setting {name} to be {wanted}, and it is"
            f" not; {remedy}"
        )
        self.name = name
