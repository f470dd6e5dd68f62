"""Where mentions go: routes first, then shares, then review."""

import pytest

from pipeline.config.model import Department, Route, Routing
from pipeline.contract.events import Priority
from pipeline.core.departments import Departments, Orders, orders

SHARES = {"service": 0.1, "support": 0.6, "design": 0.2, "marketing": 0.1}
FOUR = {name: Department() for name in SHARES}


def place(shares=SHARES, said=None, departments=FOUR, **routing):
    return Departments(departments, Routing(**routing)).place(shares, said or Orders())


def route(name, **changes):
    return Route(name=name, when="x", **changes)


def test_the_largest_share_gets_it_and_the_next_is_named():
    placing = place()
    assert (placing.departments, placing.by, placing.nearly, placing.confidence) == (
        ("support",),
        "model",
        "design",
        0.6,
    )


def test_below_the_limit_it_goes_to_review():
    placing = place(review_below=0.7)
    assert (placing.departments, placing.by, placing.nearly) == (("review",), "review", "support")


def test_a_second_department_with_a_large_share_gets_it_too():
    shares = {"service": 0.46, "support": 0.48, "design": 0.03, "marketing": 0.03}
    assert place(shares).departments == ("support", "service")


def test_what_a_route_says_comes_before_the_shares():
    placing = place(said=orders([route("vip", to=["design"])], {"vip": ("acme",)}))
    assert (placing.departments, placing.by, placing.confidence) == (("design",), "rule:vip", 1.0)


def test_routes_add_up_until_one_stops():
    routes = [route("a", to=["design"]), route("b", to=["service"], stop=True), route("c", to=["marketing"])]
    said = orders(routes, {"a": (), "b": (), "c": ()})
    assert place(said=said).departments == ("design", "service")


def test_a_route_that_did_not_match_says_nothing():
    assert orders([route("a", to=["design"])], {}) == Orders()


def test_what_is_forbidden_is_forbidden_to_the_model_and_to_other_routes():
    never = route("never", not_to=["support"])
    assert place(said=orders([never], {"never": ()})).departments == ("review",)
    said = orders([route("a", to=["support", "design"]), never], {"a": (), "never": ()})
    assert place(said=said).departments == ("design",)


def test_forbidding_every_department_leaves_review():
    said = orders([route("none", not_to=list(SHARES))], {"none": ()})
    assert place(said=said).departments == ("review",)


def test_the_first_priority_a_route_says_holds():
    routes = [route("a", priority="low"), route("b", priority="high")]
    assert orders(routes, {"a": (), "b": ()}).priority is Priority.LOW


def test_a_muting_route_is_remembered_by_its_name():
    assert orders([route("hush", mute=True)], {"hush": ()}).muted_by == "hush"


def test_a_department_of_another_name_stands_for_the_one_it_is_like():
    own = {"helpdesk": Department(like="support"), "legal-team": Department()}
    assert place(departments=own).departments == ("helpdesk",)


def test_a_share_that_nobody_stands_for_goes_to_the_next_or_to_review():
    own = {"studio": Department(like="design")}
    assert place(departments=own).departments == ("review",)
    assert place(departments=own, review_below=0.2).departments == ("studio",)


@pytest.mark.parametrize("names", [("first", "second")])
def test_two_departments_like_the_same_one_both_get_it(names):
    own = {name: Department(like="support") for name in names}
    assert place(departments=own).departments == names
