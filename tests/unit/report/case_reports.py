"""Reports that every renderer has to render: one of each kind, and the ones that are odd."""

from __future__ import annotations

from dataclasses import replace

from netdistance.quantities import Estimate, Exact, Interval, Quantity, Skipped
from netdistance.report.document import (
    AttributionRow,
    BoundRow,
    DeviationRow,
    InputOutput,
    LayerNorm,
    LayerRow,
    NonFinite,
    PairingAccount,
    PathPoint,
    Report,
    Reshaped,
    SampleDeviation,
    Scheme,
    Scope,
    Sensitivity,
    SkippedTensor,
    Standing,
    SweepPoint,
    TensorRow,
    Threshold,
    Verdict,
)
from tests.unit.report.audit_cases import audited
from tests.unit.report.gradients_cases import gradients
from tests.unit.report.simulate_cases import NEEDS, simulation
from tests.unit.report.train_cases import trained, training
from tests.unit.report.width_cases import width

HOSTILE = (
    "a\x1b[31mred",
    "b\nnetdistance: error: forged",
    "c\u202egnp.exe",
    "d\x00nul",
    "e<script>alert(1)</script><img src=x onerror=alert(1)>",
    "=HYPERLINK(1)",
    "+1",
    "-1",
    "@cell",
    "\t=tab",
    "\r=return",
    "../../../etc/passwd",
    "f\u200bzero-width\u2066",
    "g\x9bcsi",
    "",
    "h" * 3000,
    "[bold]markup[/bold]",
    "i|pipe|`tick` ``` @everyone #1 [x](http://evil.example) ![y](//evil.example/p.png)",
    'j" onmouseover="alert(1)',
    "k' & &lt; --> ]]> </style></svg></title>",
    "$\\frac{1}{2}$ $",
    "_underscore_",
    "\ud800 lone surrogate",
    "層.重み",
    "http://evil.example/a www.evil.example",
    '"quoted","cells"\n',
    "back\\slash|\\",
)
LONG = tuple(f"model.layers.{i}.mlp.down_proj" for i in range(90))
PROVENANCE = {
    "netdistance": "0.1.0",
    "torch": None,
    "created": "2026-01-01T00:00:00Z",
    "files": [{"path": "http://evil.example/<b>", "notes": []}],
    "settings": {"draws": 4, "model": None, "fail_if": ["max_abs>1"]},
}


def tensor(name: str, change: Quantity, share: Quantity | None = None) -> TensorRow:
    metrics = {
        "relative_frobenius": change,
        "sqnr_db": Skipped("identical") if change == Exact(0.0) else Exact(-3.5),
        "spectral": Interval(0.25, 0.5, 0.99),
    }
    shares = {} if share is None else {"trust_share": share}
    return TensorRow(name, (3, 4), "F32", None, name.rpartition(".")[0], metrics | shares)


def bound(name: str, standing: Standing, value: Quantity, measured: Quantity) -> BoundRow:
    over = "draws" if standing == "estimated" else "known"
    return BoundRow(name, standing, over, 16, value, measured, ("product over 3 weights", "of x"))


def trust(value: Quantity) -> BoundRow:
    return BoundRow(
        "deep_relative_trust", "modelled", "known", None, value,
        Skipped("needs --model and --inputs"), ("a model, not a bound", "product over 3 weights"),
        log1p_sum=Exact(0.5), log10=Exact(0.2),
    )  # fmt: skip


def ladder(scale: float, certificate: Quantity | None = None) -> tuple[BoundRow, ...]:
    seen = Estimate(scale, 0.01 * scale)
    certified = certificate or Interval(0.0, 9.0 * scale)
    return (
        bound("ball_certificate", "certified", certified, seen),
        bound("known_change_certificate", "certified", certified, seen),
        bound("first_order_rms", "estimated", Estimate(0.9 * scale, 0.0), seen),
        bound("deep_relative_trust", "modelled", Exact(0.5 * scale), seen),
    )


def pairing(*names: str) -> PairingAccount:
    return PairingAccount(
        compared=2,
        identical=1,
        only_a=names,
        only_b=names[:1],
        reshaped=tuple(Reshaped(name, (1, 2), ()) for name in names),
        skipped=tuple(SkippedTensor(name, f"no decoder for {name}") for name in names),
        non_finite=tuple(NonFinite(name, 3, 0) for name in names),
    )


def comparison(*names: str, text: str = "b is close to a (0.weight).") -> Report:
    rows = [tensor(name, Exact(0.01 * i), Exact(1.0 / len(names))) for i, name in enumerate(names)]
    failures = (Threshold("max_abs>1", True), Threshold("relative_frobenius>0.1", False, names))
    return Report(
        study="compare",
        provenance=PROVENANCE,
        verdict=Verdict(text, failures),
        pairing=pairing(*names[:4]),
        tensors=tuple(rows),
        bounds=(trust(Exact(0.4)),),
    )


def with_model() -> Report:
    quantiles = {"0.5": 0.1, "0.9": 0.2, "1.0": 0.3}
    return Report(
        study="compare",
        provenance=PROVENANCE,
        verdict=Verdict("The outputs move by 12% on average over 16 inputs."),
        pairing=PairingAccount(1, 0),
        tensors=(tensor("0.weight", Exact(0.2), Exact(1.0)),),
        bounds=ladder(0.2, Skipped("softmax has no rule")),
        deviation=(
            DeviationRow("relative_output_deviation", Estimate(0.12, 0.01), quantiles),
            DeviationRow("top1_agreement", Skipped("one output only")),
        ),
        path=tuple(PathPoint(t, Estimate(0.1 * t, 0.001), ladder(t)) for t in (0.25, 0.5, 1.0)),
    )


SCHEMES: tuple[Scheme, ...] = ("telescoping", "swap_in", "swap_out")


def with_layers(*names: str) -> Report:
    """With a model, for layers of these names: some skipped, one that stayed, a second call."""
    rows, found = [], []
    for i, name in enumerate(names):
        why = Skipped(f"not measured: {i % 7}")
        injected = why if i % 7 == 5 else Estimate(0.1 * i, 0.01)
        rows.append(LayerRow(name, why if i % 7 == 6 else Estimate(0.2, 0.01), injected))
        for scheme in SCHEMES:
            value = Exact(0.0) if i == 1 else Estimate((-0.1) ** (i % 3) * 0.5, 0.02)
            found.append(AttributionRow(name, scheme, why if i % 7 == 4 else value, 256))
    rows += [LayerRow(f"{names[0]}#2", Estimate(0.3, 0.01), Estimate(0.1, 0.01))]
    measured = tuple(
        DeviationRow(name, Estimate(2.5, 0.125), {"0.5": 1.0, "0.9": 30.0, "1.0": 400.0}, 7)
        for name in ("kl_divergence", "logit_margin_a", "logit_margin_b")
    )
    pair = tuple(DeviationRow(f"loss_{side}", Estimate(0.25, 0.01)) for side in "ab")
    others = (DeviationRow("rank_correlation", Exact(0.93)),)
    shares = Exact(1.0 / len(names))
    return replace(
        with_model(),
        tensors=tuple(
            replace(tensor(name, Exact(0.01 * i), shares), layer=name)
            for i, name in enumerate(names)
        ),
        deviation=(*(with_model().deviation or ()), *measured, *pair, *others),
        layers=tuple(rows),
        attribution=tuple(found),
    )


def perturbation() -> Report:
    def place(noise: str, scope: Scope) -> SweepPoint:
        level = float(noise)
        sample = SampleDeviation(
            Estimate(level, 0.01), Estimate(1.1 * level, 0.01), {"0.5": level, "1.0": 2 * level}
        )
        certificate = Skipped("overflows at this level") if level > 0.1 else None
        return SweepPoint(
            noise, scope, sample, Estimate(0.9, 0.01), Exact(level), ladder(level, certificate)
        )

    scopes: tuple[Scope, ...] = ("weights", "all")
    return Report(
        study="perturb",
        provenance=PROVENANCE,
        verdict=Verdict("At 20% layerwise noise the outputs move by 21%."),
        reference_accuracy=Exact(0.95),
        sweep=tuple(place(noise, scope) for scope in scopes for noise in ("0.01", "0.20")),
    )


def sensitivity(*names: str) -> Report:
    norms = [Interval(1.0 + i, 1.5 + i) for i in range(len(names))]
    skipped = Skipped("the norm is not finite")
    return Report(
        study="sensitivity",
        provenance=PROVENANCE,
        verdict=Verdict("The norms multiply to 10^3.2."),
        tensors=tuple(TensorRow(name, (3, 4), "F32", None, name, {}) for name in names),
        bounds=(replace(trust(Exact(1500.0)), name="spectral_product"),),
        sensitivity=Sensitivity(
            Interval(3.0, 3.2),
            tuple(
                LayerNorm(name, norm if i else skipped, Interval(1.0, 2.0))
                for i, (name, norm) in enumerate(zip(names, norms, strict=True))
            ),
        ),
    )


def per_unit_of_input(value: Quantity) -> Report:
    report = sensitivity("0.weight", "1.weight")
    assert report.sensitivity is not None
    row = BoundRow(
        "input_lipschitz", "certified", "known", None, value, value, ("l2",), log10=value
    )
    part = InputOutput(16, value, value, {"0.0": 0.5, "1.0": 2.1}, value)
    return replace(
        report,
        bounds=(*report.bounds, row),
        sensitivity=replace(report.sensitivity, input_output=part),
    )


def everything_skipped() -> Report:
    reason = "the reference is zero, <b>not</b> the change"
    return Report(
        study="compare",
        provenance=PROVENANCE,
        verdict=Verdict("Nothing was measured."),
        pairing=PairingAccount(2, 0, skipped=(SkippedTensor("w", reason),)),
        tensors=(tensor("w", Skipped(reason), Skipped(reason)), tensor("v", Skipped("NaN"))),
        bounds=(trust(Skipped("a weight has no distance")),),
        deviation=None,
    )


CASE_REPORTS: tuple[tuple[str, Report], ...] = (
    ("weights only", comparison("0.weight", "0.bias", "1.weight")),
    ("many layers", comparison(*(f"{name}.weight" for name in LONG))),
    ("with model", with_model()),
    ("with layers", with_layers("0", "2", "4")),
    ("with many layers", with_layers(*LONG)),
    ("hostile layers", with_layers(*HOSTILE)),
    ("perturb", perturbation()),
    ("train", training(PROVENANCE, "fromage", "sgd")),
    ("hostile names", comparison(*HOSTILE, text=" ".join(HOSTILE))),
    ("train with curves", trained(PROVENANCE, "fromage", "sgd")),
    ("hostile optimizers", training(PROVENANCE, *HOSTILE)),
    ("odd curves", trained(PROVENANCE, *HOSTILE[:6])),
    ("everything skipped", everything_skipped()),
    ("sensitivity", sensitivity("0.weight", "1.weight")),
    ("hostile weights", sensitivity(*HOSTILE)),
    ("per unit of input", per_unit_of_input(Interval(0.0, 2.1))),
    ("no unit of input", per_unit_of_input(Skipped("<b>tokens</b>"))),
    ("width", width(PROVENANCE, "0", "2")),
    ("width of two", width(PROVENANCE, "0", "2", against=True)),
    ("hostile widths", width(PROVENANCE, *HOSTILE, against=True)),
    ("no width", width(PROVENANCE, "0", radius=Skipped("not <b>reached</b>"), against=True)),
    ("audit", audited("0", "2", "4", "5", "6", measured=False)),
    ("audit with outputs", audited(*LONG, measured=True)),
    ("hostile audit", audited(*HOSTILE, measured=True)),
    ("gradients", gradients(PROVENANCE, "0.weight", sizes=(0.1,))),
    ("gradients of a pair", gradients(PROVENANCE, "0.weight", "2.weight", pair=True)),
    ("gradients of many", gradients(PROVENANCE, *LONG, sizes=(0.01, 0.1, 1.0, 10.0))),
    ("hostile gradients", gradients(PROVENANCE, *HOSTILE, pair=True)),
    ("no gradients", gradients(PROVENANCE, "0", change=Skipped("not <b>finite</b>"), pair=True)),
    ("simulation", simulation(PROVENANCE, "0", "2")),
    ("simulation without a model", simulation(PROVENANCE, "0", measured=NEEDS, budget=None)),
    ("simulation of many layers", simulation(PROVENANCE, *LONG)),
    ("hostile simulation", simulation(PROVENANCE, *HOSTILE)),
    ("nothing swept", Report("perturb", {}, Verdict("No level."), sweep=())),
    ("no runs", Report("train", {}, Verdict("No run."), runs=())),
    (
        "empty",
        Report("compare", {}, Verdict(""), PairingAccount(0, 0), bounds=(trust(Exact(0.0)),)),
    ),
)
