"""Replies fit into one message."""

from shared.queries import LARGEST_REPLY_BYTES, ImportStatus, fitting


def a_status(size: int) -> ImportStatus:
    return ImportStatus(import_id="x" * size, workspace="0", model="resnet", status="publishing")


def test_what_fits_is_taken_whole():
    few = [a_status(10)] * 3

    assert fitting(few) == few


def test_what_does_not_fit_is_left_out_in_order():
    third = LARGEST_REPLY_BYTES // 3

    taken = fitting(a_status(third - shorter) for shorter in (200, 201, 202, 203))

    assert [len(status.import_id) for status in taken] == [third - 200, third - 201, third - 202]


def test_what_is_counted_is_bytes_and_not_characters():
    chinese = ImportStatus(import_id="图" * (LARGEST_REPLY_BYTES // 3), workspace="0", model="m", status="publishing")

    assert fitting([chinese, a_status(1)]) == [chinese]


def test_one_is_taken_however_large():
    assert len(fitting([a_status(2 * LARGEST_REPLY_BYTES), a_status(1)])) == 1
