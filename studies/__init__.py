"""How a study is carried out: search, retrain, evaluate, report, on the machines that there are; and going on."""
