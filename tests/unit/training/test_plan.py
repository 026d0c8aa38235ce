"""Which runs a comparison consists of, and which it refuses."""

import math

import pytest

from netdistance.errors import UsageError
from netdistance.studies.train import TrainOptions, train


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task": "chess"}, "unknown task 'chess': expected one of checkerboard"),
        ({"optimizers": ("lion",)}, "unknown optimizer 'lion': expected one of fromage, lars, "),
        ({"optimizers": ()}, "no optimizer is given"),
        ({"optimizers": ("sgd@fast",)}, "optimizer 'sgd@fast': expected its name, or its name and"),
        ({"optimizers": ("sgd@",)}, "optimizer 'sgd@': expected its name, or its name and"),
        ({"optimizers": ("sgd@-1",)}, r"learning rate -1.0: expected a number above 0"),
        ({"optimizers": ("lion@1",)}, "unknown optimizer 'lion'"),
        ({"lrs": (0.0,)}, r"learning rate 0.0: expected a number above 0"),
        ({"lrs": (math.nan,)}, "learning rate nan"),
        ({"depths": (3, 0)}, "depth is 0: expected a whole number, 1 or more"),
        ({"seeds": 0}, "seeds is 0"),
        ({"steps": 0}, "steps is 0"),
    ],
)
def test_bad_options(tmp_path, changes, message):
    with pytest.raises(UsageError, match=message):
        train(TrainOptions(out=tmp_path / "out", **changes))
    assert not (tmp_path / "out").exists()


def test_an_optimizer_with_learning_rates_of_its_own(tmp_path):
    names = ("sgd@0.1", "fromage", "sgd@0.02", "fromage@0.01")
    report = train(
        TrainOptions(out=tmp_path, optimizers=names, lrs=(0.01, 0.003), width=4, steps=2)
    )
    assert [(run.optimizer, run.lr) for run in report.runs] == [
        ("sgd", 0.1),
        ("fromage", 0.01),
        ("fromage", 0.003),
        ("sgd", 0.02),
    ]
