"""The shortest retention time of several versions of a purpose counts."""

import msgspec

from trust.domain.policy_file import parse
from trust.domain.purposes import Retention
from trust.erasure.retention import shortest

_POLICY = """\
purpose: care@1
art6: 6.1.a
art9: 9.2.a
recipients: [team]
quantities:
  heart_rate: {round: 1, min_interval: 1s, time_rounding: 1s, aggregate: first}
retention: {raw: 30d, aggregates: 400d}
"""


def test_shortest_of_all_versions_counts() -> None:
    """Each of the two times is the least of all versions, separately for each purpose."""
    one = parse(_POLICY)
    two = msgspec.structs.replace(one, version=2, retention=Retention(90, 100))
    other = msgspec.structs.replace(one, name="study", retention=Retention(7, 7))

    assert shortest([one, two, other]) == {
        "care": Retention(30, 100),
        "study": Retention(7, 7),
    }
