"""What would be run, as --dry-run says it, and what a user must know of it beforehand."""

from __future__ import annotations

from search_spaces.study import Start, Study


def plan(study: Study, start: Start) -> str:
    """Return what would be run, for --dry-run: each phase with its runs, each arm with its trials and parameters."""
    arms = study.arms()
    share = [len(range(index, study.budget.trials, len(arms))) for index in range(len(arms))]
    lines = [
        f"stage {study.stage.name}: {study.stage.question}",
        f"start: {start.origin}",
        f"budget: {_budget(study)}",
        "arms: " + ", ".join(f"{arm.name} ({count} trials)" for arm, count in zip(arms, share, strict=True)),
    ]
    lines += [f"note: {note}"] if (note := note_on_budget(study)) else []
    lines += [f"{option}: {file.typed}, SHA-256 {file.digest}" for option, file in study.own_files.items()]
    for parameter in study.stage.parameters:
        lines.append(f"  {parameter.role:10s} {parameter.path:24s} {parameter.domain or ''!s:32s} {parameter.because}")
    return "\n".join(lines)


def _budget(study: Study) -> str:
    budget, arms = study.budget, len(study.arms())
    if budget.minutes:
        fit = f"as {round(budget.minutes, 2):g} minutes have"
        if not study.stage.varied:
            return f"{budget.trials} trials of {budget.epochs} epochs, and as many runs under new seeds {fit}"
        return f"as many trials of {budget.epochs} epochs, and seeds to decide, {fit}"
    trained = f"{budget.trials} trials of {budget.epochs} epochs"
    if not study.stage.varied:
        again = len(study.repeats(study.finalists(study.start_trial().config)))
        return f"{trained}, and {again} runs under new seeds"
    from analysis.procedure import plan, rounds  # SciPy

    procedure = plan(budget.trials, arms, study.stage.metric, 0.0, budget.repeats)
    race, least, most = sum(procedure.race.left), sum(rounds(procedure, 0)), sum(rounds(procedure))
    further = f"; up to {budget.rounds - 1} more rounds of at most as many trials" if budget.rounds > 1 else ""
    return (
        f"{trained}, {race} runs of a race among the {procedure.race.entrants} best, and {least - race} to "
        f"{most - race} runs to decide (at most {budget.repeats} fresh seeds): {budget.trials + least} to "
        f"{budget.trials + most} runs{further}"
    )


def note_on_budget(study: Study) -> str | None:
    """Return what a user must know of a budget of so few runs that hardly any gain is proven; None of others."""
    budget = study.budget
    if study.smoke or budget.minutes or not study.stage.varied or budget.trials < 2:
        return None
    from analysis.procedure import plan, unseen_deaths  # SciPy

    procedure = plan(budget.trials, len(study.arms()), study.stage.metric, 0.0, budget.repeats)
    share = unseen_deaths(procedure, budget.trials)
    if share is None:
        return None
    return (
        f"so few runs cannot rule out that a config dies under {share:.0%} of all seeds, and a gain that would not "
        "outweigh that is not proven; more --repeats or --trials prove smaller ones"
    )
