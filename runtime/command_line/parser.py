"""
The parser of every command line: it says what was probably meant, and never repeats a value.

A value may be a person's name, and an option's text may be a value after a slip of the keyboard;
so an error names only commands, options and values that exist.

Exit codes of all programs: 0 done, 1 not done or a problem was found, 2 wrong arguments or
settings, 130 stopped at the keyboard.
"""

import argparse
import difflib
import re
import sys
from collections.abc import Iterable, Sequence
from typing import Any, Final, NoReturn

from runtime.command_line import output

EXIT_CODES: Final = (
    "Exit codes: 0 done, 1 not done or a problem was found, 2 wrong arguments or settings, 130"
    " stopped at the keyboard."
)
_ARGUMENT: Final = re.compile(r"argument ([^:]+): (.*)", re.DOTALL)
_MISSING: Final = "the following arguments are required"
_ONE_OF: Final = "one of the arguments"
_NOT_ALLOWED: Final = "not allowed with argument"
_CHOICE: Final = "invalid choice"
_COULD: Final = " could match "
_COUNT: Final = re.compile(r"expected (one|at least one|at most one|\d+) argument")
_STRAY: Final = "there are arguments that the command does not take"
_FEW: Final = 8
"""So many permitted values are listed in an error; of more, only similar ones are named."""


def suggestion(given: str, known: Iterable[str]) -> str:
    """Return a sentence that names those of *known* that resemble *given*; empty if none does."""
    names = sorted(set(known))
    near = difflib.get_close_matches(given, names, n=3, cutoff=0.6)
    return f" Did you mean {' or '.join(near)}?" if near else ""


class Parser(argparse.ArgumentParser):
    """
    A parser with suggestions. `error` prints one sentence and exits with code 2.

    With `--json` anywhere in the arguments, the error is printed as an object besides.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._given: Sequence[str] = ()
        self._hint = ""

    def parse_known_args(  # type: ignore[override]  # the base has overloads
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[Any, list[str]]:
        """Parse *args*; every argument that the command does not take is an error."""
        self._given = list(sys.argv[1:] if args is None else args)
        self._hint = ""
        found, more = super().parse_known_args(self._given, namespace)
        if more:
            self.error(self._unknown(more))
        return found, more

    def error(self, message: str) -> NoReturn:
        """Print the sentence of *message*, and exit with code 2."""
        output.fail(self.prog, self.sentence(message), as_json="--json" in self._given)
        raise SystemExit(2)

    def sentence(self, message: str) -> str:
        """Return *message* of argparse as sentences without a value, with what was meant."""
        hint, self._hint = self._hint, ""
        found = _ARGUMENT.match(message)
        if found is not None:
            problem = _problem(found.group(1), found.group(2))
        elif message.startswith((_MISSING, _ONE_OF)):
            problem, hint = message, self._misspelt()
        elif _COULD in message:
            problem = f"an option is cut short too much: it could be {message.split(_COULD)[-1]}"
        else:
            problem = _STRAY
        return f"{problem}.{hint} See `{self.prog} --help`."

    def _get_value(self, action: argparse.Action, arg_string: str) -> Any:
        try:
            return super()._get_value(action, arg_string)
        except argparse.ArgumentError:
            self._hint = _near(action, arg_string)
            raise

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is None or value in action.choices:
            return
        self._hint = _near(action, str(value))
        raise argparse.ArgumentError(action, _CHOICE)

    def _unknown(self, arguments: Sequence[str]) -> str:
        self._hint = self._misspelt()
        return _STRAY

    def _misspelt(self) -> str:
        """Return a suggestion for each argument that looks like an option and is none."""
        known = list(self._option_string_actions)
        found = ""
        for argument in self._given:
            flag = argument.partition("=")[0]
            if argument == "--":
                break
            if not flag.startswith("--") or " " in flag:
                continue
            if not any(one.startswith(flag) for one in known):
                found += suggestion(flag, known)
        return found


def _problem(argument: str, problem: str) -> str:
    """Return a clause for argparse's *problem* with *argument*, without the value."""
    is_option = argument.startswith("-")
    if problem.startswith(_NOT_ALLOWED):
        return f"{argument} is {problem}"
    if problem.startswith(_CHOICE) and not is_option:
        return f"there is no such {argument.lower()}"
    if problem.startswith("invalid ") or _COUNT.match(problem):
        return f"the value of {argument} is missing or wrong"
    return f"{argument}: {problem}"


def _near(action: argparse.Action, given: str) -> str:
    """Return a sentence with the permitted values of *action* that are meant, if it has any."""
    if action.choices is None:
        return ""
    choices = [str(choice) for choice in action.choices]
    hint = suggestion(given, choices)
    return hint or (f" It is one of: {', '.join(choices)}." if len(choices) <= _FEW else "")
