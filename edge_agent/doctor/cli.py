"""The commands `spool`, `doctor` and `erase` of `vitalveil agent`."""

import asyncio
import os
from pathlib import Path

import msgspec

from edge_agent.config import AgentSettings
from edge_agent.sources.clock import SystemClock
from edge_agent.spool import inspection, verification
from runtime.command_line import output


def show(settings: AgentSettings, *, as_json: bool) -> int:
    """Print counts and gaps of the spool; return the exit code."""
    shown = _describe(settings.state_dir, now_ms=SystemClock().now_ms())
    if as_json:
        output.show(shown, as_json=True)
    else:
        _print(shown)
    return 0


def verify(settings: AgentSettings, *, as_json: bool = False) -> int:
    """Print what is damaged in the spool; return 0 if it is sound, 1 otherwise."""
    verdict = verification.verify(settings.state_dir)
    if as_json:
        rows = [{"problem": problem} for problem in verdict.problems]
        output.show({"envelopes": verdict.envelopes, "rows": rows}, as_json=True)
        return 0 if verdict.is_sound else 1
    for problem in verdict.problems:
        print(problem)
    if verdict.is_sound:
        print(f"sound: {verdict.envelopes} envelopes")
    return 0 if verdict.is_sound else 1


def purge(settings: AgentSettings, *, as_json: bool = False) -> int:
    """Delete everything that is unsent, beyond recovery; return the exit code."""
    # Imported here: the commands that only read need neither keys nor a lock.
    from edge_agent.lease import keys
    from edge_agent.reload import spool_bounds
    from edge_agent.spool import lock
    from edge_agent.spool.index_tags import Tags
    from edge_agent.spool.spool import SqliteSpool

    async def run() -> int:
        spool = await SqliteSpool.open(
            settings.state_dir,
            Tags(keys.read(settings.keys).lease),
            new_spool_id=os.urandom(16),
            bounds=spool_bounds(settings),
        )
        try:
            return (await spool.purge_all_but(())).amount.envelopes
        finally:
            await spool.close()

    with lock.hold(settings.state_dir):
        count = asyncio.run(run())
    if as_json:
        output.show({"purged": count}, as_json=True)
    else:
        print(f"purged: {count} envelopes")
    return 0


def erase(
    settings: AgentSettings, *, is_sure: bool, keep_identity: bool, as_json: bool = False
) -> int:
    """Erase the keys and the state of this gateway; return 0, or 2 without --yes."""
    if not is_sure:
        warning = (
            "This erases the keys and everything that is unsent, for ever. Repeat it with --yes."
        )
        if as_json:
            output.fail("vitalveil agent erase", warning, as_json=True)
        else:
            print(warning)
        return 2
    from edge_agent.doctor import erase as erasing

    count = erasing.erase(settings, keep_identity=keep_identity)
    if as_json:
        output.show({"erased": count}, as_json=True)
        return 0
    print(f"erased: {count} files. Enrol this gateway again before you start it.")
    return 0


def doctor(settings: AgentSettings, *, as_json: bool) -> int:
    """Print the findings of the doctor; return 0 if nothing is bad, 1 otherwise."""
    from edge_agent.doctor import checks as doctoring

    findings = []
    for finding in doctoring.examine(settings):
        findings.append(finding)
        if not as_json:
            print(f"{finding.verdict:<8} {finding.what:<12} {finding.text}", flush=True)
    if as_json:
        output.show({"rows": [msgspec.to_builtins(one) for one in findings]}, as_json=True)
    return 0 if doctoring.is_well(findings) else 1


def _describe(state_dir: Path, *, now_ms: int) -> dict[str, object]:
    view = inspection.look(state_dir)
    stats = view.stats
    age_s = None if stats.oldest_ms is None else max(0, now_ms - stats.oldest_ms) / 1000
    return {
        "spool_id": view.spool_id.hex(),
        "floor": stats.floor,
        "next_sequence": stats.next_sequence,
        "depth": stats.depth,
        "bytes": stats.bytes,
        "oldest_age_s": age_s,
        "totals": {
            what: {"envelopes": amount.envelopes, "observations": amount.observations}
            for what, amount in view.totals.items()
        },
        "gaps": [msgspec.to_builtins(gap) for gap in view.gaps],
    }


def _print(spool: dict[str, object]) -> None:
    for name, value in spool.items():
        if isinstance(value, dict):
            for what, amount in value.items():
                print(f"{what:<14} {_amount(amount)}")
        elif isinstance(value, list):
            for gap in value:
                print(
                    f"{'gap':<14} {gap['reason']}, {gap['worth']}: {_amount(gap)},"
                    f" sequences {gap['first']} to {gap['last']}"
                )
        else:
            print(f"{name:<14} {value}")


def _amount(amount: dict[str, object]) -> str:
    return f"{amount['envelopes']} envelopes, {amount['observations']} observations"
