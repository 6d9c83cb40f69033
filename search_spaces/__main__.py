"""`python -m search_spaces`: docs/stages.md, written from the stages themselves."""

from __future__ import annotations

from collections.abc import Mapping

from search_spaces.stage import Arm, Budget, Doubling, Kept, Parameter, Stage
from search_spaces.stages import STAGES


def page() -> str:
    """Return the Markdown page that describes every stage."""
    head = "# Stages\n\nWritten from the stages by `make docs`; change them in `search_spaces/`, not here.\n"
    head += "One of your own is a file for `--stage FILE.py` ([usage.md](usage.md#a-stage-of-your-own)).\n"
    return "\n".join([head, *(_section(stage) for stage in STAGES)])


def _section(stage: Stage) -> str:
    rows = [f"| `{p.path}` | {p.role} | {_range(p)} | {_only(p.only_if)} | {p.because} |" for p in stage.parameters]
    return "\n".join(
        [
            f"## {stage.name}\n",
            f"{stage.question}\n",
            f"Arms: {', '.join(arm.name for arm in stage.arms())}.",
            f"Budget: {_budget(stage.budget)}; on the embedded chips {_budget(stage.demo)}.",
            f"Judged by {stage.metric.name} ({stage.metric.goal}imum of the best epoch).",
            *_epochs(stage),
            "",
            *(f"- {arm.name}: {_fixed(arm)}" for arm in stage.arms() if stage.compared),
            *[""] * bool(stage.compared),
            *(f"On the embedded chips `{path}` is fixed at {value}.\n" for path, value in stage.demo.fixes.items()),
            *[f"Not asked of the embedded chips: {', '.join(stage.demo.without)}.\n"] * bool(stage.demo.without),
            "| parameter | role | range | only if | because |",
            "| --- | --- | --- | --- | --- |",
            *rows,
            "",
        ]
    )


def _range(parameter: Parameter) -> str:
    """The range, and how far a round may widen it."""
    limits = f"; limits {' and '.join(f'{end:g}' for end in parameter.limits)}" if parameter.limits else ""
    return f"{parameter.domain or ''}{limits}"


def _budget(budget: Budget) -> str:
    return f"{budget.trials} trials of {budget.epochs} epochs, at most {budget.repeats} fresh seeds to decide"


def _epochs(stage: Stage) -> list[str]:
    """How long trials of a stage train, where it is not the budget's word alone."""
    match stage.length:
        case Kept(prolonged):
            longer = "In a chain twice as long, if the best epochs came last in the stage before."
            kept = "Trains as long as the config it starts from, where an earlier study found it."
            return [kept, *[longer] * prolonged]
        case Doubling(rounds):
            return [
                f"In a chain asked up to {rounds} times, each with twice the epochs, while the best epochs come "
                "last; the first time is passed over where they did so in a stage before."
            ]
    return []


def _fixed(arm: Arm) -> str:
    values = ", ".join(f"`{path}` {value}" for path, value in arm.values.items())
    return f"{values}; searches {', '.join(f'`{p.path}`' for p in arm.nuisance) or 'nothing'}"


def _only(condition: Mapping[str, str]) -> str:
    return ", ".join(f"{path} = {value}" for path, value in condition.items())


if __name__ == "__main__":
    print(page(), end="")
