"""How much each parameter matters, as bars."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from analysis.figures.canvas import plt, save, sns, theme
from analysis.figures.figure import Figure
from analysis.importance import importances
from analysis.shown import Shown
from search_spaces.domain import Choice, Domain, IntRange
from storage.folder import StudyRecord
from trainables.result import Metric

ENOUGH = 10  # finished trials before importance is worth a look


def importance_shares(study: StudyRecord, metric: Metric, domains: Mapping[str, Domain]) -> dict[str, float]:
    """Return each parameter's importance over all arms: the arm, and what every arm searches; largest first.

    Empty where fewer than `ENOUGH` trials say something, or less than two parameters are common to all arms.
    """
    finished = study.finished
    fixed = {path for values in study.manifest.arm_values.values() for path in values}
    common = [path for path in domains if path not in fixed and finished[path].notna().all()]
    searched = finished[[all(domains[path].contains(row[path]) for path in common) for _, row in finished.iterrows()]]
    arms = tuple(dict.fromkeys(searched["arm"]))
    asked: dict[str, Domain] = {"arm": Choice(arms)} if len(arms) > 1 else {}
    asked |= {path: domains[path] for path in common}
    if len(searched) < ENOUGH or len(asked) < 2:
        return {}
    whole = {path: searched[path].astype(int) for path in common if isinstance(domains[path], IntRange)}
    rows = searched.assign(**whole)[[*asked]].astype(object).to_dict("records")
    return importances(rows, list(searched[metric.name]), asked, metric.goal)


def draw_importance(shares: Mapping[str, float], path: Path) -> None:
    """Draw each parameter's share of the importance as a bar, the largest on top."""
    theme()
    figure, axis = plt.subplots(figsize=(10, 1.0 + 0.45 * len(shares)), layout="constrained")
    names, values = list(shares), [100 * share for share in shares.values()]
    bars = axis.barh(names[::-1], values[::-1], color=sns.color_palette("colorblind")[0])
    axis.bar_label(bars, fmt="%.0f %%", padding=3)
    axis.set(xlabel="share of importance, %", xlim=(0, 1.12 * max(values)))
    save(figure, path)


def _draw(shown: Shown, path: Path) -> None:
    shares = importance_shares(shown.study, shown.metric, shown.domains)
    if shares:
        draw_importance(shares, path)


def _seen(shown: Shown) -> str:
    shares = importance_shares(shown.study, shown.metric, shown.domains)
    return "; ".join(f"{name} {share:.0%}" for name, share in shares.items()) + "." if shares else ""


IMPORTANCE = Figure(
    "importance.png",
    "How much each parameter matters for being among the best quarter of trials (PED-ANOVA, over all "
    "arms, for what they have in common). With few trials a hint, no more.",
    _draw,
    _seen,
)
