"""What training prints of the model that learned who leaves."""

import copy

from clvml.cli.printed import _time, train_text


def test_why_leaving_was_not_learned_or_not_tested(trained, cdnow_log):
    """Not that the log is too short, which may have years."""
    said = {}
    for members in (None, trained.leaving_.members_):
        model = copy.copy(trained)
        model.leaving_ = copy.copy(trained.leaving_)
        model.leaving_.members_, model.leaving_.audit_ = members, None
        text = train_text(model, cdnow_log.check(), None, [])
        said[members is None] = " ".join(text.split())
    assert "too few repeat buyers left, or stayed, in the log's own past" in said[True]
    assert "LeavingModel: not tested, for" in said[False]
    assert "too short" not in said[True] + said[False]


def test_a_length_of_time_is_told_in_the_unit_that_fits():
    assert [_time(days) for days in (0.5, 7.0, 90.0, 800.0)] == ["12 hours", "7 days", "3 months", "2.2 years"]
