"""Rules of the user's own, tried before the built-in ones."""

from __future__ import annotations

from torch import nn

from netdistance.networks.rules.base import Rule

_registered: list[tuple[Rule, tuple[type[nn.Module], ...]]] = []


def register(rule: Rule, *, modules: tuple[type[nn.Module], ...] = ()) -> None:
    """Try `rule` before every other one from now on, in this process.

    `rule.matches(call)` says whether the rule holds for an operator, and `rule.apply(call)` gives
    its `Edge`: the value at the original weights, which are `call.change.state`, and a proved bound
    on the l2 norm of its change. Certificates are only as true as that bound. `Edge.reach`, for a
    ball of inputs, and `Edge.elements`, for each number, may be given beside it; without `reach`
    the certificate from norms alone is skipped. A rule whose factor is the same for all inputs can
    say so with `ConstantFactor` of `rules.base` as its base; the bound over every two inputs uses
    no other. A module is otherwise traced through its forward; those of the types `modules` stay
    one operator, with `call.module` set, its arguments in `call.edges`, and its name in
    `call.node.target`.

    Raises:
        TypeError: the rule has no `matches` or `apply`, or no `name`.
    """
    missing = [part for part in ("name", "matches", "apply") if not hasattr(rule, part)]
    if missing:
        raise TypeError(f"a rule needs {', '.join(missing)}: {rule!r} has none")
    _registered.insert(0, (rule, modules))


def unregister(rule: Rule) -> None:
    """Forget a registered rule; nothing happens if there is none."""
    _registered[:] = [entry for entry in _registered if entry[0] is not rule]


def registered() -> tuple[Rule, ...]:
    """The registered rules, the last one first."""
    return tuple(rule for rule, _ in _registered)


def whole_modules() -> tuple[type[nn.Module], ...]:
    """The module types that stay one operator in a trace."""
    return tuple(kind for _, modules in _registered for kind in modules)
