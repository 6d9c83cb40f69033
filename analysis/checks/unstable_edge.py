"""Is there a rate above which runs die? (playbook: infeasible points at the edge; optimization instability)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from analysis.checks.evidence import Evidence
from analysis.checks.feasibility import split
from analysis.checks.ranges import ends, value_at
from storage.finding import Finding, Narrow, Remedy, not_judged

ID = "unstable edge"
RATE = "optimiser.lr"
LEVEL = 0.05
FEWEST = 2  # infeasible trials that make an edge
CLOSE = 2.0  # the best rate is at the edge if it is at least the edge's over this


def unstable_edge(evidence: Evidence) -> list[Finding]:
    """Name the rate above which trials die; where the best rate is at the edge, stabilise, else search below it."""
    domain = evidence.ranges.get(RATE)
    trials = evidence.ended
    trials = trials[trials[RATE].notna()] if RATE in trials else trials.head(0)
    if domain is None or trials.empty:
        return []
    bad = trials["infeasible"].to_numpy(bool)
    if not bad.any():
        return [Finding(ID, "ok", f"none of {len(bad)} trials diverged, failed or died at chance")]
    rates = trials[RATE].to_numpy(float)
    if bad.sum() < FEWEST or bad.all():
        return [
            not_judged(ID, f"{bad.sum()} of {len(bad)} trials died: too {'many' if bad.all() else 'few'} for an edge")
        ]
    edge = edge_of(np.array([domain.position(rate) for rate in rates]), bad)
    if edge is None:
        return [
            Finding(ID, "ok", f"{bad.sum()} of {len(bad)} trials died, at high rates no more often than at low ones")
        ]
    rate = value_at(domain, edge)
    said = f"{(bad & (rates > rate)).sum()} of {(rates > rate).sum()} trials above {RATE} = {rate:.3g} died, "
    said += f"{(bad & (rates <= rate)).sum()} of {(rates <= rate).sum()} below"
    alive = evidence.alive
    best = float(alive.iloc[0][RATE]) if len(alive) else 0.0
    remedy: Remedy | None = Narrow(RATE, ends(domain)[0], rate)
    if best >= rate / CLOSE:  # high rates are wanted: then training is to be made stable, not the rate low
        said += f"; the best trial's {best:.3g} is at this edge"
        remedy = evidence.steadier
    return [Finding(ID, "warn", said, remedy.words if remedy else "make training steadier at this rate", remedy)]


def edge_of(places: NDArray[np.float64], bad: NDArray[np.bool_]) -> float | None:
    """Return the place (0 to 1) above which runs die; None unless the bad lie higher (Mann-Whitney, one-sided 5 %)."""
    if stats.mannwhitneyu(places[bad], places[~bad], alternative="greater").pvalue >= LEVEL:
        return None
    place, above = split(places, bad)
    return place if above else None
