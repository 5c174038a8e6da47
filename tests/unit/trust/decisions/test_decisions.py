"""Decisions: signed documents, and folds that never widen."""

import datetime as dt
from uuid import UUID

import msgspec
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from trust.decisions import decisions
from trust.decisions.decisions import Capture, Decision, GivenBy, Scope, State
from trust.domain import canonical
from trust.errors import Tampered

T0 = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
SUBJECT = UUID("0f1e2d3c-4b5a-4978-8796-a5b4c3d2e1f0")
NAMES = ["glucose_interstitial", "heart_rate", "spo2"]


def decide(
    number: int,
    *,
    state: State = State.ACCEPTED,
    quantities: list[str] | None = None,
    begins_h: int = 0,
    ends_h: int | None = None,
) -> Decision:
    """Return the decision with a number, which supersedes the one before."""
    return Decision(
        decision=UUID(int=number),
        subject=SUBJECT,
        purpose="home-monitoring",
        version=1,
        state=state,
        quantities=NAMES if quantities is None else quantities,
        recipients=["care-team"],
        decided_at=T0,
        valid_from=T0 + dt.timedelta(hours=begins_h),
        valid_to=None if ends_h is None else T0 + dt.timedelta(hours=ends_h),
        given_by=GivenBy.SELF,
        capture=Capture("signature"),
        supersedes=UUID(int=number - 1) if number > 1 else None,
    )


any_decision = st.builds(
    decide,
    st.just(0),
    state=st.sampled_from(list(State)),
    quantities=st.lists(st.sampled_from(NAMES), unique=True),
    begins_h=st.integers(0, 9),
    ends_h=st.none() | st.integers(1, 20),
)
chains = st.lists(any_decision, max_size=6).map(
    lambda found: [
        msgspec.structs.replace(
            d, decision=UUID(int=n), supersedes=UUID(int=n - 1) if n > 1 else None
        )
        for n, d in enumerate(found, 1)
    ]
)

GOLDEN = (
    '{"capture":{"locale":null,"method":"signature","text_sha256":null},'
    '"decided_at":"2026-01-01T00:00:00Z",'
    '"decision":"00000000-0000-0000-0000-000000000001","given_by":"self","purpose":'
    '"home-monitoring","quantities":["heart_rate"],"recipients":["care-team"],"representative":null,'
    '"state":"accepted",'
    '"subject":"0f1e2d3c-4b5a-4978-8796-a5b4c3d2e1f0","supersedes":null,'
    '"valid_from":"2026-01-01T00:00:00Z","valid_to":null,"version":1}'
)
# Made with OpenSSL's command line.
SIGNATURE = (
    "8eb78523e9903d58c6388ada6820acbb7a0c9107dfa43217f87255b05c8e900b"
    "69f5aac8b58cf250db1c216da413612bb771907b3805a8a6ac26019ebf4b030a"
)


def test_encode_golden_value() -> None:
    """The canonical document of a decision, written by hand."""
    assert decisions.encode(decide(1, quantities=["heart_rate"])).decode() == GOLDEN


def test_signature_golden_value() -> None:
    """Ed25519 is deterministic (RFC 8032), so the signature of a document is fixed."""
    key = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    signed = canonical.to_sign(decisions.KIND, GOLDEN.encode())
    assert key.sign(signed).hex() == SIGNATURE


@given(st.integers(0, 8 * len(GOLDEN) - 1))
def test_a_flipped_bit_does_not_verify(bit: int) -> None:
    """A decision with any flipped bit does not verify."""
    changed = bytearray(GOLDEN.encode())
    changed[bit // 8] ^= 1 << bit % 8
    key = Ed25519PrivateKey.from_private_bytes(bytes(range(32))).public_key()
    with pytest.raises(InvalidSignature):
        key.verify(bytes.fromhex(SIGNATURE), canonical.to_sign(decisions.KIND, bytes(changed)))


@given(any_decision)
def test_decode_inverts_encode(decision: Decision) -> None:
    """Decoding inverts encoding."""
    assert decisions.decode(decisions.encode(decision)) == decision


def test_every_truncation_is_tampered() -> None:
    """A truncated document is tampered."""
    document = decisions.encode(decide(1))
    for length in range(len(document)):
        with pytest.raises(Tampered):
            decisions.decode(document[:length])


def test_unknown_means_no() -> None:
    """Without a decision nothing is accepted or permitted."""
    assert decisions.state([]) is State.UNKNOWN
    assert decisions.current([]) is None
    assert decisions.scope_since([], UUID(int=1)) is None


def test_last_decision_counts() -> None:
    """The state is that of the latest decision."""
    chain = [decide(1), decide(2, state=State.WITHDRAWN)]
    assert decisions.state(chain) is State.WITHDRAWN


def test_scope_before_a_later_grant_stays_gone() -> None:
    """After a withdrawal and a new consent the old handle stays without a scope."""
    chain = [decide(1), decide(2, state=State.WITHDRAWN), decide(3)]
    assert decisions.scope_since(chain, UUID(int=1)) is None
    assert decisions.scope_since(chain, UUID(int=3)) == Scope(frozenset(NAMES), T0, None)


def test_scope_is_the_narrowest_since() -> None:
    """The scope of a handle is the narrowest of all later decisions."""
    chain = [
        decide(1, quantities=["heart_rate", "spo2"], ends_h=9),
        decide(2, quantities=["heart_rate", "glucose_interstitial"], begins_h=1),
    ]
    hour = dt.timedelta(hours=1)
    assert decisions.scope_since(chain, UUID(int=1)) == Scope(
        frozenset({"heart_rate"}), T0 + hour, T0 + 9 * hour
    )


def test_nothing_left_is_no_scope() -> None:
    """Two decisions without a common quantity leave no scope."""
    chain = [decide(1, quantities=["spo2"]), decide(2, quantities=["heart_rate"])]
    assert decisions.scope_since(chain, UUID(int=1)) is None


@given(chains, any_decision)
def test_a_further_decision_never_widens(chain: list[Decision], further: Decision) -> None:
    """Any further decision leaves the scope of an issued handle equal or narrower."""
    for decision in chain:
        before = decisions.scope_since(chain, decision.decision)
        after = decisions.scope_since([*chain, further], decision.decision)
        if after is not None:
            assert before is not None
            assert after.quantities <= before.quantities
            assert after.valid_from >= before.valid_from
            assert before.valid_to is None or (
                after.valid_to is not None and after.valid_to <= before.valid_to
            )


def test_whole_chain_passes() -> None:
    """Decisions that supersede each other in order are a valid chain."""
    chain = [decide(1), decide(2), decide(3)]
    assert decisions.chain(chain, subject=SUBJECT, purpose="home-monitoring") == chain


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param([decide(2), decide(3)], id="first missing"),
        pytest.param([decide(1), decide(3)], id="one missing"),
        pytest.param([decide(1), decide(3), decide(2)], id="re-ordered"),
        pytest.param([decide(1), decide(1)], id="replayed"),
        pytest.param(
            [decide(1), msgspec.structs.replace(decide(2), subject=UUID(int=7))], id="another's"
        ),
        pytest.param(
            [decide(1), msgspec.structs.replace(decide(2), purpose="other")], id="other purpose"
        ),
        pytest.param(
            [msgspec.structs.replace(decide(1), subject=UUID(int=7))], id="whole chain another's"
        ),
        pytest.param(
            [msgspec.structs.replace(decide(1), purpose="other")], id="whole chain, other purpose"
        ),
    ],
)
def test_broken_chain_is_tampered(broken: list[Decision]) -> None:
    """A missing, moved, repeated or foreign decision breaks the chain."""
    with pytest.raises(Tampered):
        decisions.chain(broken, subject=SUBJECT, purpose="home-monitoring")


def test_what_was_accepted_for_a_time_expires() -> None:
    """After its period an accepted decision is expired, and a refused one is still refused."""
    hour = dt.timedelta(hours=1)
    accepted = [decide(1, ends_h=9)]
    assert decisions.state(accepted, at=T0 + 8 * hour) is State.ACCEPTED
    assert decisions.state(accepted, at=T0 + 9 * hour) is State.EXPIRED
    assert decisions.state(accepted) is State.ACCEPTED
    refused = [decide(1, state=State.REFUSED, ends_h=9)]
    assert decisions.state(refused, at=T0 + 10 * hour) is State.REFUSED


@pytest.mark.parametrize("state", [state for state in State if state is not State.ACCEPTED])
def test_only_accepted_lets_anything_be_measured(state: State) -> None:
    """Only the state `accepted` permits measuring."""
    assert decisions.scope_since([decide(1), decide(2, state=state)], UUID(int=1)) is None
