"""How far each arm is behind the leading one under new seeds, with its interval (playbook: isolation plot)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from analysis.figures.canvas import plt, save, sns, theme
from analysis.figures.figure import Figure, number
from analysis.shown import Shown
from storage.report_json import ArmAnswer


def draw_isolation(arms: Sequence[ArmAnswer], metric: str, path: Path) -> None:
    """Draw a row for each arm, the leading one first, which is the line at 0; to the right is worse.

    An arm that was dropped too early for an interval has a note in place of a point.
    """
    theme()
    figure, axis = plt.subplots(figsize=(10, 1.1 + 0.42 * len(arms)), layout="constrained")
    blue, orange = sns.color_palette("colorblind")[:2]
    axis.axvline(0, color="black", lw=1)
    axis.plot(0, 0, "D", color="black")
    for row, arm in enumerate(arms[1:], start=1):
        if arm.behind is None or arm.half is None:
            axis.annotate(_dropped(arm), (0, row), xytext=(8, 0), textcoords="offset points", va="center", fontsize=10)
            continue
        colour = orange if arm.apart else blue
        axis.errorbar(arm.behind, row, xerr=arm.half, fmt="o", color=colour, capsize=4)
    axis.set(xlabel=f"{metric}, how far behind {arms[0].arm} (96 %)", ylabel="")
    axis.set(yticks=range(len(arms)), yticklabels=[arm.arm for arm in arms], ylim=(len(arms) - 0.5, -0.5))
    save(figure, path)


def _dropped(arm: ArmAnswer) -> str:
    return f"dropped after {arm.seeds} new seed{'s' if arm.seeds > 1 else ''}" if arm.seeds else "not trained again"


def _compared(shown: Shown) -> tuple[ArmAnswer, ...]:
    arms = shown.report.arms
    return arms if any(arm.half is not None for arm in arms) else ()


def _draw(shown: Shown, path: Path) -> None:
    if arms := _compared(shown):
        draw_isolation(arms, shown.metric.name, path)


def _seen(shown: Shown) -> str:
    said = [
        f"{arm.arm} is behind by {number(arm.behind)} plus or minus {number(arm.half)}"
        if arm.half is not None
        else f"{arm.arm} was {_dropped(arm)}"
        for arm in _compared(shown)[1:]
    ]
    return f"{_compared(shown)[0].arm} leads; {'; '.join(said)}." if said else ""


ISOLATION = Figure(
    "isolation.png",
    "The stage's question by new seeds: how far the best candidate of each arm is behind the leading arm's, paired "
    "over the seeds that both have. An interval that reaches the line does not tell them apart; orange is told apart.",
    _draw,
    _seen,
)
