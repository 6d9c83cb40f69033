"""Whatever checks could find, for hypothesis."""

from hypothesis import strategies as st

from storage.finding import (
    Anneal,
    Clip,
    Finding,
    Longer,
    MoreTrials,
    Narrow,
    Regularise,
    Shorter,
    WarmUp,
    Widen,
)

paths = st.sampled_from(["optimiser.lr", "optimiser.weight_decay"])
numbers = st.floats(0.1, 10)
remedies = st.one_of(
    st.builds(Widen, paths, numbers, numbers),
    st.builds(Narrow, paths, numbers, numbers),
    st.builds(MoreTrials, numbers, st.none() | st.just("cosine")),
    st.builds(Longer, st.sampled_from([2.0, 4.0])),
    st.builds(Shorter, st.just(0.5)),
    st.builds(WarmUp, st.just(0.05)),
    st.builds(Clip, st.just(0.9)),
    st.just(Anneal()),
    st.just(Regularise()),
)
findings = st.lists(
    st.builds(
        Finding,
        st.sampled_from(["chance", "unstable edge", "overfitting", "boundary", "density"]),
        st.sampled_from(["ok", "note", "warn", "fail"]),
        st.text(max_size=5),
        st.just("do it"),
        st.none() | remedies,
    ),
    max_size=8,
)
