"""`python -m search_spaces`: docs/stages.md, written from the stages themselves."""

from __future__ import annotations

from collections.abc import Mapping

from search_spaces.stage import Budget, Stage
from search_spaces.stages import STAGES


def page() -> str:
    """Return the Markdown page that describes every stage."""
    head = "# Stages\n\nWritten from the stages by `make docs`; change them in `search_spaces/`, not here.\n"
    return "\n".join([head, *(_section(stage) for stage in STAGES)])


def _section(stage: Stage) -> str:
    rows = [
        f"| `{p.path}` | {p.role} | {p.domain or ''} | {_only(p.only_if)} | {p.because} |" for p in stage.parameters
    ]
    return "\n".join(
        [
            f"## {stage.name}\n",
            f"{stage.question}\n",
            f"Arms: {', '.join(arm.name for arm in stage.arms())}. Budget: {_budget(stage.budget)}; on the "
            f"embedded chips {_budget(stage.demo)}. Judged by {stage.metric.name} "
            f"({stage.metric.goal}imum of the best epoch).\n",
            "| parameter | role | range | only if | because |",
            "| --- | --- | --- | --- | --- |",
            *rows,
            "",
        ]
    )


def _budget(budget: Budget) -> str:
    return f"{budget.trials} trials of {budget.epochs} epochs, finalists again with {budget.repeats} new seeds"


def _only(condition: Mapping[str, str]) -> str:
    return ", ".join(f"{path} = {value}" for path, value in condition.items())


if __name__ == "__main__":
    print(page(), end="")
