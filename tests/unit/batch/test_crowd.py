"""The room that bought candidates leave for others like them."""

from mfal.batch.crowd import Crowd, Crowding
from mfal.similarity import EditSimilarity
from tests.unit.letters import EqualLetters

equal_letters = EqualLetters()


def test_crowding_by_hand() -> None:
    # AAAC is .75 like AAAA, half way from .5 to 1; AACC is .5 like it, and free. AAAA itself is
    # known, and not held against itself; AAAG is, but less.
    crowding = Crowding(equal_letters, 0.5, ["AAAA", "GGGG"], strength=4.0)
    assert crowding(["AAAC", "AACC", "AAAA", "CCCC"]).tolist() == [2.0, 0.0, 0.0, 0.0]
    both = Crowding(equal_letters, 0.5, ["AAAA", "AAAG"], strength=4.0)
    assert both(["AAAA", "AAAG", "AAGG"]).tolist() == [2.0, 2.0, 2.0]
    assert Crowding(equal_letters, 0.5, [], strength=4.0)(["AAAA"]).tolist() == [0.0]


MERIT = {"AAAA": 3.0, "AAAC": 2.0, "AAAG": 4.0, "CCCC": 1.0}


def test_a_crowd_admits_what_is_better_than_all_that_it_is_like() -> None:
    crowd = Crowd(equal_letters, 0.5, {"AAAA": 3.0}, MERIT)
    assert not crowd.admits("AAAC", [])  # worse than what is bought, and like it
    assert crowd.admits("AAAG", [])  # better
    assert crowd.admits("CCCC", [])  # worse, and different
    assert crowd.admits("AAAA", [])  # itself, at another fidelity


def test_a_crowd_admits_nothing_like_what_is_chosen_however_good() -> None:
    crowd = Crowd(equal_letters, 0.5, {}, MERIT)
    assert not crowd.admits("AAAG", ["AAAC"])
    assert crowd.admits("CCCC", ["AAAC"])


def test_what_is_as_good_as_what_it_is_like_is_not_admitted() -> None:
    crowd = Crowd(equal_letters, 0.5, {"AAAA": 2.0}, {"AAAC": 2.0})
    assert not crowd.admits("AAAC", [])


def test_a_better_one_is_passed_over_while_there_are_places_that_nobody_has() -> None:
    def crowd(places: int) -> Crowd:
        bought = {"AAAA": 3.0, "CCCC": 0.0}
        return Crowd(equal_letters, 0.5, bought, MERIT, measured=set(bought), places=places)

    assert not crowd(2).admits("AAAG", [])  # gains 1 on AAAA; 4 on CCCC, were it like none
    assert crowd(1).admits("AAAG", [])  # the only place


def test_a_free_place_is_for_one_that_is_like_none() -> None:
    def crowd(places: int) -> Crowd:
        bought = {"AAAA": 3.0, "CCCC": 2.5}
        return Crowd(equal_letters, 0.5, bought, MERIT, measured=set(bought), places=places)

    assert crowd(2).admits("AAAG", [])  # gains 1, of 1.5
    assert not crowd(3).admits("AAAG", [])


def test_an_improvement_is_bought_for_half_of_what_an_addition_gains() -> None:
    def admits(last: float) -> bool:
        bought = {"AAAA": 3.0, "CCCC": last}
        crowd = Crowd(equal_letters, 0.5, bought, MERIT, measured=set(bought), places=2)
        return crowd.admits("AAAG", [])

    assert admits(2.0)  # gains 1, of 2
    assert not admits(1.9)


def test_what_has_no_place_stands_in_no_way() -> None:
    # AAAA has not been measured, and AAAC is worse than the last that has a place.
    bought = {"AAAA": 3.0, "CCCC": 0.0}
    crowd = Crowd(equal_letters, 0.5, bought, MERIT, measured={"CCCC"}, places=1)
    assert crowd.admits("AAAG", [])
    bought = {"AAAC": 2.0, "CCCC": 3.0}
    crowd = Crowd(equal_letters, 0.5, bought, MERIT, measured=set(bought), places=1)
    assert crowd.admits("AAAG", [])


def test_one_that_is_placed_may_itself_be_asked_again_at_another_fidelity() -> None:
    crowd = Crowd(equal_letters, 0.5, {"AAAA": 3.0}, MERIT, measured={"AAAA"}, places=2)
    assert crowd.admits("AAAA", [])


def test_what_is_just_as_alike_as_is_allowed_still_differs() -> None:
    assert Crowd(equal_letters, 0.75, {"AAAA": 3.0}, MERIT).admits("AAAC", [])
    assert Crowd(equal_letters, 0.75, {}, MERIT).admits("AAAC", ["AAAA"])
    # 1 - 7 / 10 is .30000000000000004 in floating point.
    merit = {"A" * 10: 1.0, "AAA" + "C" * 7: 0.0}
    assert Crowd(EditSimilarity(), 0.3, {"A" * 10: 1.0}, merit).admits("AAA" + "C" * 7, [])
