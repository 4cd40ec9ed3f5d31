"""What training prints of the model that learned who leaves."""

import copy

from clvml.cli.printed import train_text


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
