import json

import pytest

from difint.text import document, duration, memory, table


def test_table_pads_to_the_widest_cell():
    lines = table(["name", "n"], [["a", "1"], ["longer", "1000"]], "<>").splitlines()
    assert lines == [
        "name       n",
        "------  ----",
        "a          1",
        "longer  1000",
    ]


def test_table_without_rows_is_a_head():
    assert table(["a", "b"], [], "<<") == "a  b\n-  -"


def test_table_refuses_a_short_row():
    with pytest.raises(ValueError):
        table(["a", "b"], [["1"]], "<<")


def test_document_refuses_what_json_lacks():
    assert json.loads(document({"a": [1.5, None]})) == {"a": [1.5, None]}
    with pytest.raises(ValueError):
        document(float("nan"))


def test_durations_and_sizes_have_three_digits_at_most():
    times = [9.996e-10, 1e-9, 0.9996e-6, 99.94e-6, 99.96e-6, 0.5, 1.0]
    assert [duration(one) for one in times] == [
        "1 ns", "1 ns", "1000 ns", "99.9 us", "100 us", "500 ms", "1 s",
    ]  # fmt: skip
    assert [memory(one) for one in (0, 1023, 1024, 2**40)] == ["0 B", "1023 B", "1 KiB", "1024 GiB"]
