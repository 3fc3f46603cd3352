import re

from hypothesis import given
from hypothesis import strategies as st

from providers.batches.custom_ids import custom_id_from, labels_from

ids = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=255)


@given(ids | st.from_regex(r"[a-z0-9_-]{1,64}", fullmatch=True))
def test_labels_lead_back_to_the_id_and_are_labels(custom_id: str) -> None:
    labels = labels_from(custom_id)
    assert custom_id_from(labels) == custom_id
    assert len(labels) <= 26
    for key, value in labels.items():
        assert re.fullmatch(r"[a-z][a-z0-9_-]{0,62}", key)
        assert re.fullmatch(r"[a-z0-9_-]{1,63}", value)


def test_an_id_that_is_a_label_is_one_that_people_can_read() -> None:
    assert labels_from("request-17") == {"custom_id": "request-17"}


def test_labels_in_any_order_and_among_others_lead_back() -> None:
    labels = labels_from("Frage №1 " * 40)
    assert len(labels) > 10
    mixed = {"team": "search", **dict(sorted(labels.items(), reverse=True))}
    assert custom_id_from(mixed) == "Frage №1 " * 40


def test_other_labels_lead_to_no_id() -> None:
    assert custom_id_from({}) is None
    assert custom_id_from({"team": "search"}) is None
    assert custom_id_from({"custom_id_b32_0": "not base32 at all"}) is None
