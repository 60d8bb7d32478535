"""Which faults of the driver pass, and which are our own."""

import pytest
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    DuplicateKeyError,
    ExecutionTimeout,
    NotPrimaryError,
    OperationFailure,
    ServerSelectionTimeoutError,
    WTimeoutError,
)

from shared.errors import Transient
from shared.store import only_duplicates, translated


def bulk_error(*codes: int, write_concern: bool = False) -> BulkWriteError:
    faults = [{"index": index, "code": code, "errmsg": ""} for index, code in enumerate(codes)]
    return BulkWriteError(
        {"writeErrors": faults, "writeConcernErrors": [{"code": 64, "errmsg": ""}] if write_concern else []}
    )


@pytest.mark.parametrize(
    "error",
    [
        ServerSelectionTimeoutError("no server"),
        AutoReconnect("connection closed"),
        NotPrimaryError("stepped down"),
        ExecutionTimeout("too slow"),
        WTimeoutError("no majority"),
        OperationFailure("write conflict", 112),
        OperationFailure("shutting down", 91),
        OperationFailure("stepped down", 189),
        OperationFailure("interrupted at shutdown", 11600),
        OperationFailure("interrupted", 11602),
    ],
)
def test_a_fault_that_will_pass_is_transient(error: Exception):
    with pytest.raises(Transient) as caught, translated():
        raise error

    assert caught.value.__cause__ is error


@pytest.mark.parametrize(
    "error", [OperationFailure("no such command", 59), DuplicateKeyError("twice", 11000), ValueError("a bug")]
)
def test_a_fault_of_our_own_stays_what_it_is(error: Exception):
    with pytest.raises(type(error)) as caught, translated():
        raise error

    assert caught.value is error


def test_a_bulk_of_duplicates_is_left_to_the_store():
    with pytest.raises(BulkWriteError), translated():
        raise bulk_error(11000, 11000)


@pytest.mark.parametrize(
    "error", [bulk_error(112), bulk_error(11000, 189), bulk_error(11602), bulk_error(write_concern=True)]
)
def test_a_bulk_that_met_a_passing_fault_is_transient(error: BulkWriteError):
    with pytest.raises(Transient), translated():
        raise error


def test_a_bulk_that_met_a_fault_of_our_own_stays_what_it_is():
    error = bulk_error(11000, 121)

    with pytest.raises(BulkWriteError) as caught, translated():
        raise error

    assert caught.value is error


def test_a_bulk_that_met_only_documents_that_are_there_already_is_no_fault():
    assert only_duplicates(bulk_error(11000))
    assert only_duplicates(bulk_error(11000, 11000))


def test_a_bulk_that_met_anything_else_is_a_fault():
    assert not only_duplicates(bulk_error(11000, 121))
    assert not only_duplicates(bulk_error(11000, write_concern=True))
