"""
Completion of command lines in bash, zsh and fish.

The shell asks `vitalveil complete -- WORD...` for what may stand in the place of the last word.
The answer comes from the parsers themselves, so it never differs from what they accept.
"""

import argparse
from collections.abc import Sequence
from typing import Final

SCRIPTS: Final = {
    "bash": """\
_vitalveil() {
    local IFS=$'\\n'
    COMPREPLY=($(vitalveil complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null | cut -f1))
}
complete -o default -F _vitalveil vitalveil
""",
    "zsh": """\
#compdef vitalveil
_vitalveil() {
    local -a found
    found=(${(f)"$(vitalveil complete -- "${(@)words[2,CURRENT]}" 2>/dev/null | cut -f1)"})
    if (( $#found )); then compadd -a found; else _files; fi
}
compdef _vitalveil vitalveil
""",
    "fish": """\
function __vitalveil
    set -l before (commandline -opc)
    vitalveil complete -- $before[2..-1] (commandline -ct) 2>/dev/null
end
complete -c vitalveil -a '(__vitalveil)'
""",
}
"""The script of each shell, which defines the completion of `vitalveil`."""


def complete(parser: argparse.ArgumentParser, words: Sequence[str]) -> list[tuple[str, str]]:
    """
    Return what may stand in the place of the last of *words*, with the help of each.

    Args:
        parser: The parser of the program.

        words: The arguments, the last of which is being written and may be empty.

    Returns:
        No candidates where a free value or a file is expected.
    """
    *before, last = words or [""]
    waiting: argparse.Action | None = None
    places = _places(parser)
    for word in before:
        if waiting is not None:
            waiting = None
        elif word.startswith("-"):
            waiting = _takes_value(parser._option_string_actions.get(word))
        elif places:
            place = places.pop(0)
            if isinstance(place, argparse._SubParsersAction) and word in place.choices:
                parser = place.choices[word]
                places = _places(parser)
    if waiting is not None:
        found = _choices(waiting)
    elif last.startswith("-"):
        found = [
            (flag, action.help or "") for flag, action in parser._option_string_actions.items()
        ]
    else:
        found = _choices(places[0]) if places else []
    return [(word, " ".join(text.split())) for word, text in found if word.startswith(last)]


def _places(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    return [action for action in parser._actions if not action.option_strings]


def _takes_value(action: argparse.Action | None) -> argparse.Action | None:
    return action if action is not None and action.nargs != 0 else None


def _choices(action: argparse.Action) -> list[tuple[str, str]]:
    if isinstance(action, argparse._SubParsersAction):
        return [(one.dest, one.help or "") for one in action._choices_actions]
    return [(str(choice), "") for choice in action.choices or ()]
