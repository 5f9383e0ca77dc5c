from __future__ import annotations

import uuid

from hypothesis import example, given
from hypothesis import strategies as st

from textmod_dev.kafka_broker import _cluster_id


@given(st.uuids())
@example(uuid.UUID(bytes=b"\xfb" + bytes(15)))
def test_a_cluster_id_is_never_taken_for_a_flag(unique: uuid.UUID) -> None:
    made = _cluster_id(unique)
    assert made[0] not in "-_"
    assert len(made) == 22
