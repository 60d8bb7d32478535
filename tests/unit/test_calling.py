"""One model of pydantic for each handler, and another for each other handler."""

from collections.abc import Awaitable, Callable

import pytest
from fast_depends.core import CallModel, build_call_model
from fast_depends.dependencies.provider import Provider
from pydantic import ValidationError

from shared.calling import SharedSerializer


async def on_number(number: int) -> None: ...


async def on_number_or_one(number: int = 1) -> None: ...


async def on_text(number: str) -> None: ...


@pytest.fixture
def model_of() -> Callable[[Callable[..., Awaitable[object]]], CallModel]:
    shared = SharedSerializer()
    return lambda handler: build_call_model(handler, dependency_provider=Provider(), serializer_cls=shared)


def test_all_lanes_of_a_handler_share_one(model_of):
    assert model_of(on_number).serializer is model_of(on_number).serializer


@pytest.mark.parametrize("other", [on_number_or_one, on_text])
def test_handlers_that_take_something_else_have_their_own(model_of, other):
    assert model_of(on_number).serializer is not model_of(other).serializer


def test_handlers_of_one_name_that_take_something_else_have_their_own(model_of):
    async def on_number(number: str) -> None: ...

    assert model_of(globals()["on_number"]).serializer({"number": "7"}) == {"number": 7}
    assert model_of(on_number).serializer({"number": "7"}) == {"number": "7"}


def test_what_is_given_is_checked_as_before(model_of):
    serializer = model_of(on_number).serializer

    with pytest.raises(ValidationError, match="valid integer"):
        serializer({"number": "seven"})
