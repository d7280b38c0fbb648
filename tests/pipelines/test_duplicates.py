from pipelines.duplicates import incomplete_warnings


def test_complete_pairs_need_no_warning():
    assert incomplete_warnings({"pairs_dropped": 0, "incomplete_because": []}) == []
    assert incomplete_warnings({"pairs": 3}) == []


def test_what_is_left_out_is_said_with_its_count_and_what_to_do():
    (warning,) = incomplete_warnings(
        {"pairs_dropped": 1234, "texts_incomplete": 56, "incomplete_because": ["max_pairs_per_text"]}
    )
    assert "1,234 pairs of 56 texts" in warning
    assert "duplicates.max_pairs_per_text" in warning


def test_an_approximate_graph_is_said():
    (warning,) = incomplete_warnings({"pairs_dropped": 0, "incomplete_because": ["approximate graph"]})
    assert "may lack pairs" in warning
