"""
Errors of starting a process.

* RuntimeSetupError
    * ConfigError       (the operator's: refuse to start, exit 2)

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
