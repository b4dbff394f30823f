"""The split keeps groups whole, respects lists, covers classes, and does not move what an earlier run placed."""

from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from augment.data.split import Member, Shares, assign_sides, settle_groups, stratified_folds

SHARES = Shares(validation=0.2, test=0.2)
NONE = np.empty((0, 2), np.int64)


def grouped(labels: str, groups: str = "") -> list[Member]:
    """One member per letter of `labels`; equal letters of `groups` are one group."""
    groups = groups or "".join(chr(0x4E00 + at) for at in range(len(labels)))
    return [
        Member(f"{at:04d}", label, group=group) for at, (label, group) in enumerate(zip(labels, groups, strict=True))
    ]


def counts(members: list[Member], sides: dict[str, str]) -> dict[str, Counter[str]]:
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for member in members:
        found[member.label][sides[member.id]] += 1
    return found


def test_every_class_is_split_in_the_shares() -> None:
    members = grouped("a" * 100 + "b" * 20)
    found = counts(members, assign_sides(members, SHARES, seed=0))
    assert found["a"] == {"train": 60, "val": 20, "test": 20}
    assert found["b"] == {"train": 12, "val": 4, "test": 4}


@pytest.mark.parametrize("share", [0.05, 0.1, 0.25, 0.3, 0.4])
def test_other_shares_are_met_within_a_few_images(share: float) -> None:
    members = grouped("a" * 200)
    found = counts(members, assign_sides(members, Shares(0.2, share), seed=0))["a"]
    assert found["test"] == pytest.approx(200 * share, abs=10)
    assert found["val"] == pytest.approx(40, abs=10)


def test_the_seed_decides_and_the_order_does_not() -> None:
    members = grouped("a" * 60 + "b" * 40)
    once = assign_sides(members, SHARES, seed=1)
    assert assign_sides(members[::-1], SHARES, seed=1) == once
    assert assign_sides(members, SHARES, seed=2) != once


@pytest.mark.parametrize(
    ("count", "expected"),
    [(1, {"train"}), (2, {"train", "test"}), (3, {"train", "val", "test"}), (4, {"train", "val", "test"})],
)
def test_a_rare_class_stands_on_as_many_sides_as_it_has_groups(count: int, expected: set[str]) -> None:
    for seed in range(10):
        members = grouped("a" * 40 + "b" * count)
        assert set(counts(members, assign_sides(members, SHARES, seed))["b"]) == expected


def test_a_group_larger_than_half_a_side_is_for_training() -> None:
    members = grouped("a" * 100, "g" * 30 + "".join(chr(0x4E00 + at) for at in range(70)))
    for seed in range(5):
        sides = assign_sides(members, SHARES, seed)
        assert {sides[member.id] for member in members[:30]} == {"train"}
        assert Counter(sides.values())["test"] == pytest.approx(20, abs=3)


def test_a_test_list_stays_whole_and_what_resembles_it_leaves_training() -> None:
    listed = [
        Member("t1", "a", ("test",), "test"),
        Member("n1", "a", ("train", "val")),
        Member("n2", "a", ("train", "val")),
    ]
    kept, dropped = settle_groups(listed, np.array([[0, 1]]))
    assert [member.id for member in kept] == ["t1", "n2"]
    assert dropped == {"n1": "shows the same as an image of the test set, where it may not stand"}
    assert assign_sides(kept, SHARES, seed=0)["t1"] == "test"


def test_a_new_image_between_two_sides_is_left_out_and_nothing_old_moves() -> None:
    members = [Member("old1", "a", fixed="train"), Member("new", "a"), Member("old2", "a", fixed="test")]
    kept, dropped = settle_groups(members, np.array([[0, 1], [1, 2]]))
    assert {member.id: member.fixed for member in kept} == {"old1": "train", "old2": "test"}
    assert dropped == {"new": "shows the same as images of the test and of the train set, which stay apart"}


def test_where_two_fixed_images_show_the_same_the_test_set_keeps_its_own() -> None:
    members = [Member("x", "a", fixed="train"), Member("y", "a", fixed="val"), Member("z", "a", fixed="test")]
    kept, dropped = settle_groups(members, np.array([[0, 1], [1, 2]]))
    assert [member.id for member in kept] == ["z"]
    assert set(dropped) == {"x", "y"}


def test_a_new_image_joins_the_side_of_its_group() -> None:
    kept, dropped = settle_groups([Member("old", "a", fixed="val"), Member("new", "a")], np.array([[0, 1]]))
    assert not dropped
    assert assign_sides(kept, SHARES, seed=0) == {"old": "val", "new": "val"}


def test_images_added_one_by_one_reach_every_side() -> None:
    placed = assign_sides(grouped("a" * 50), SHARES, seed=0)
    members = [Member(id_, "a", fixed=side, group=id_) for id_, side in placed.items()]
    for at in range(60):
        joining = Member(f"new{at}", "a", group=f"new{at}")
        sides = assign_sides([*members, joining], SHARES, seed=0)
        members.append(Member(joining.id, "a", fixed=sides[joining.id], group=joining.id))
    later = Counter(member.fixed for member in members if member.id.startswith("new"))
    assert later["test"] in range(4, 21)  # 12 expected
    assert later["val"] in range(4, 21)


@st.composite
def batches(draw: st.DrawFn) -> tuple[list[Member], np.ndarray]:
    count = draw(st.integers(2, 40))
    sides = st.sampled_from([("train", "val", "test"), ("train", "val"), ("test",)])
    members = []
    for at in range(count):
        allowed = draw(sides)
        fixed = allowed[0] if len(allowed) == 1 else draw(st.sampled_from([None, None, None, *allowed]))
        members.append(Member(f"{at:03d}", draw(st.sampled_from("abc")), allowed, fixed))
    position = st.integers(0, count - 1)
    pairs = draw(st.lists(st.tuples(position, position), max_size=30))
    return members, np.array([sorted(pair) for pair in pairs], np.int64).reshape(-1, 2)


@settings(max_examples=150, deadline=None)
@given(batches(), st.integers(0, 2**40))
def test_no_pair_straddles_nothing_fixed_moves_and_lists_are_kept(
    batch: tuple[list[Member], np.ndarray], seed: int
) -> None:
    members, pairs = batch
    kept, dropped = settle_groups(members, pairs)
    sides = assign_sides(kept, SHARES, seed)
    assert set(sides) | set(dropped) == {member.id for member in members}
    assert not set(sides) & set(dropped)
    for member in members:
        assert member.id in dropped or sides[member.id] in member.sides
        assert member.id in dropped or member.fixed in (None, sides[member.id])
        assert member.sides != ("test",) or member.id in sides  # the test list stays whole
    for first, second in pairs:
        pair = [members[first].id, members[second].id]
        assert set(pair) & set(dropped) or sides[pair[0]] == sides[pair[1]]


def test_over_all_folds_every_image_is_tested_once_and_groups_stay_whole():
    members = [Member(f"{n:02d}", "ab"[n % 3 == 0], group=f"g{n // 2}") for n in range(40)]
    sides = [assign_sides(members, Shares(0.2, 0.2, folds=4, fold=fold), seed=3) for fold in range(4)]
    for member in members:
        assert sorted(side[member.id] for side in sides) == ["test", "train", "train", "val"]
    for side in sides:
        assert all(side[f"{n:02d}"] == side[f"{n + 1:02d}"] for n in range(0, 40, 2))
        assert {member.label for member in members if side[member.id] == "test"} == {"a", "b"}


def test_folds_of_too_few_images_are_dealt_in_turns_and_groups_stay_whole():
    labels, groups = ["a", "a", "a", "b", "b", "b", "b"], ["1", "2", "3", "4", "5", "5", "6"]
    folds = stratified_folds(labels, groups, 5, seed=3)
    assert sorted(np.concatenate(folds).tolist()) == list(range(7))
    assert all(
        {groups[at] for at in fold}.isdisjoint(groups[at] for at in range(7) if at not in fold) for fold in folds
    )
    assert len(stratified_folds(["a", "b"], ["1", "2"], 5, seed=0)) == 5
