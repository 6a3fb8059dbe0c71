"""List queries: what a user writes cannot become another query on the way to a backend."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saros.insight.query import parse
from saros.model.errors import INVALID, Error
from saros_temporal.client.descriptions import visibility_query


def test_a_name_in_backticks_may_have_any_characters() -> None:
    assert "`order total` >= 5" in visibility_query("`order total` >= 5")


@pytest.mark.parametrize(
    "query", ["a`b = 1", "`a = 1", "a` = 1", "`` = 1", "`a``b` = 1", "a = `b`", "a IN (`b`)"]
)
def test_a_backtick_is_never_part_of_a_name(query: str) -> None:
    with pytest.raises(Error) as raised:
        visibility_query(query)
    assert raised.value.kind == INVALID


@pytest.mark.parametrize(
    "query", ["id = '" + "x" * 10_000 + "'", " or ".join(["a = 1"] * 501), f"total > {'9' * 401}"]
)
def test_a_query_without_end_is_refused(query: str) -> None:
    with pytest.raises(Error) as raised:
        parse(query)
    assert raised.value.kind == INVALID


@given(st.text(st.sampled_from("ab`'\"\\ =<>()1,andORnotinis-."), max_size=24), st.text(max_size=8))
def test_temporal_sees_no_other_conditions_than_were_read(query: str, value: str) -> None:
    """Only names, operators and numbers that we generate stand outside quotes."""
    quoted = value.replace("'", "''")
    for text in (query, f"amount = '{quoted}'", f"`{query}` = 1"):
        try:
            sent = visibility_query(text)
        except Error:
            continue
        bare = _without_quoted(sent)
        assert all(character.isalnum() or character in " =<>!(),.+-:_" for character in bare)
        if text is not query:
            assert " OR " not in bare


def _without_quoted(query: str) -> str:
    """A query of Temporal's without its names and texts."""
    rest, at = "", 0
    while at < len(query):
        quote = query[at]
        if quote not in "`'":
            rest, at = rest + quote, at + 1
            continue
        at += 1
        while query[at] != quote:
            at += 2 if quote == "'" and query[at] == "\\" else 1
        at += 1
    return rest
