"""The first line of a report: the answer in plain words."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import PurePath

from netdistance.quantities import Quantity, Skipped, point
from netdistance.report.bound_text import tightest
from netdistance.report.document import PairingAccount, Report, SweepPoint, TensorRow
from netdistance.report.noise_floor import noise_floor, times
from netdistance.report.noise_level import is_named, label_of, size_of
from netdistance.report.wording import count, percent

# at half of its own size, what remains of a weight no longer tells the networks' kinship
_FAR = 0.5
# a relative deviation of 1 is what replacing the output by zero would give
_VACUOUS = 1.0


def compare_verdict(report: Report, a: str | os.PathLike[str], b: str | os.PathLike[str]) -> str:
    """What compare found: the outputs first where they were measured, then the weights."""
    name_a, name_b = titles_of(a, b)
    assert report.pairing is not None
    same = f"{name_a} was compared with itself, the same file" if is_same(a, b) else ""
    if same and all_identical(report.pairing):
        return f"{same}: every compared tensor is identical.{synthetic_note(report)}"
    text = _weights(report.tensors, report.pairing, name_a, name_b)
    if report.deviation is not None:
        text = f"{_outputs(report)}{synthetic_note(report)} {text}"
    return (f"{same}. " if same else "") + text + not_covered(report.pairing)


def is_same(a: str | os.PathLike[str], b: str | os.PathLike[str]) -> bool:
    """Whether both are one file."""
    return os.path.exists(a) and os.path.exists(b) and os.path.samefile(a, b)


def all_identical(pairing: PairingAccount) -> bool:
    """Whether every tensor was compared, and none differs: NaN differs from itself."""
    return pairing.identical == pairing.compared and not not_covered(pairing)


def perturb_verdict(report: Report) -> str:
    """What perturb found at its largest level, and how far certificates reach."""
    sweep = report.sweep or ()
    last = max(sweep, key=lambda place: (size_of(place), place.scope == "all"))
    where = "on weights and biases" if last.scope == "all" else "on the weights"
    what = (
        f"Under uniform noise within half a step of {last.noise}"
        if is_named(last)
        else f"At {label_of(last)} layerwise noise {where}"
    )
    text = f"{what} the outputs move by {_amount(last.deviation.mean)}"
    before, after = report.reference_accuracy, last.accuracy
    if before is not None and not isinstance(before, Skipped):
        text += f" and accuracy {_change_of(before, after)}"
    scope = [place for place in sweep if place.scope == last.scope]
    return f"{text}; {_reach(scope)}{synthetic_note(report)}"


def synthetic_note(report: Report) -> str:
    """What a reader must not miss where nobody gave inputs."""
    drawn = str(report.provenance.get("inputs", "")).startswith("synthetic")
    return " The inputs are synthetic: standard normal." if drawn else ""


def _change_of(before: Quantity, after: Quantity) -> str:
    first, last = _amount(before), _amount(after)
    if first == last:
        return f"stays at {first}"
    falls = (point(after) or 0.0) < (point(before) or 0.0)
    return f"{'falls' if falls else 'rises'} from {first} to {last}"


def _reach(sweep: Sequence[SweepPoint]) -> str:
    """The largest level at which a certificate still says that the output is not all noise."""
    certificates = [
        (place, row.value) for place in sweep if (row := tightest(place.bounds)) is not None
    ]
    skipped = [value.reason for _, value in certificates if isinstance(value, Skipped)]
    if len(skipped) == len(certificates):
        return f"no certificate: {skipped[0]}." if skipped else "no certificate."
    useful = [
        place
        for place, value in certificates
        if (upper := point(value)) is not None and upper < _VACUOUS
    ]
    covered = sweep[0].bounds[0].inputs or 0
    on = f"on the {count(covered, 'input')} covered"
    if not useful:
        return "no certificate is useful (below 100%) at any of these levels."
    if len(useful) == len(certificates):
        return f"the certificates are useful (below 100%) at every level, {on}."
    farthest = label_of(max(useful, key=size_of))
    return f"no certificate is useful (below 100%) beyond {farthest}, {on}."


def titles_of(a: str | os.PathLike[str], b: str | os.PathLike[str]) -> tuple[str, str]:
    """The shortest names that tell the two files apart, their own where they are one."""
    path_a, path_b = PurePath(a), PurePath(b)
    if path_a.stem != path_b.stem and not (os.path.isdir(a) or os.path.isdir(b)):
        return path_a.stem, path_b.stem
    for depth in range(1, max(len(path_a.parts), len(path_b.parts)) + 1):
        titles = [str(PurePath(*path.parts[-depth:])) for path in (path_a, path_b)]
        if titles[0] != titles[1]:
            return titles[0], titles[1]
    return path_a.name, path_b.name


def _weights(rows: Sequence[TensorRow], pairing: PairingAccount, name_a: str, name_b: str) -> str:
    if pairing.identical == pairing.compared:
        return f"{name_b} holds the same weights as {name_a}: every compared tensor is identical."
    moved = [(c, row.name) for row in rows if (c := _change(row)) is not None and c > 0.0]
    if not moved:
        return f"{name_b} differs from {name_a} only in tensors without a distance."
    largest, where = max(moved)
    of_tensors = f"{len(moved):,} of {count(pairing.compared, 'tensor')}"
    if any(" + LoRA" in (row.encoding_b or "") for row in rows):
        # what an adapter adds is no rounding, however small it is
        span = _range(min(moved)[0], largest)
        return f"{name_b} on {name_a} moves {of_tensors}, by {span} of their size."
    floor = noise_floor(rows)
    of_all = f"{of_tensors} moved"
    # a bias is not judged against rounding: where one moved most, that is what has to be said
    if floor is not None and where in floor.multiples:
        text = f"{name_b} is within {floor.format} rounding of {name_a}"
        if floor.explains:
            return (
                f"{text}: {of_all}, no weight more than {times(floor.largest)} x what rounding it "
                f"to {floor.format} does."
            )
        if floor.is_rounding:
            weights = count(len(floor.multiples), "weight")
            return (
                f"{text} but for {len(floor.beyond):,} of {weights}: {floor.beyond[0]} moved "
                f"{times(floor.largest)} x as far as that. {of_all[0].upper()}{of_all[1:]}."
            )
    if largest >= _FAR:
        return (
            f"{name_b} is far from {name_a}: {of_all}, by {_range(min(moved)[0], largest)} of "
            "their size."
        )
    return (
        f"{name_b} differs from {name_a}: {of_all}, none by more than {percent(largest)} of its "
        f"size ({where})."
    )


def _range(smallest: float, largest: float) -> str:
    first, last = percent(smallest), percent(largest)
    return first if first == last else f"{first} to {last}"


def _change(row: TensorRow) -> float | None:
    return point(row.metrics["relative_frobenius"])


def _outputs(report: Report) -> str:
    measured = {row.measure: row.value for row in report.deviation or ()}
    inputs = next((row.inputs for row in report.bounds if row.name == "deep_relative_trust"), None)
    text = f"The outputs move by {_amount(measured['relative_output_deviation'])} on average"
    if inputs is not None:
        text += f" over {count(inputs, 'input')}"
    agreement = measured.get("top1_agreement", Skipped("no classes"))
    if not isinstance(agreement, Skipped):
        # of inputs, or of tokens
        text += f", and {_amount(agreement)} of the top-1 answers stay the same"
    return text + "."


def _amount(value: Quantity) -> str:
    number = point(value)
    return "an unknown amount" if number is None else percent(number)


def not_covered(pairing: PairingAccount) -> str:
    """How many tensors a verdict does not speak of, as a sentence; empty where of none."""
    parts: list[str] = []
    for number, what in (
        (len(pairing.only_a) + len(pairing.only_b), "without a partner"),
        (len(pairing.reshaped), "of another shape"),
        (len(pairing.non_finite), "with NaN or infinity"),
        (len(pairing.skipped) - len(pairing.non_finite), "not measured"),
    ):
        if number > 0:
            parts.append(f"{number:,} {what}" if parts else f"{count(number, 'tensor')} {what}")
    return f" Not covered: {', '.join(parts)}." if parts else ""
