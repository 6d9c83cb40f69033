"""Guards a user's own encoder: what it promises is asked of it in a line, and it trains as reproducibly as ours."""

import dataclasses
import hashlib

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from studies.saliency import relevance
from trainables.checkpoint import Best, from_bytes, to_bytes
from trainables.compare import main
from trainables.config import TrialConfig
from trainables.encoders import check_encoder, make_encoder
from trainables.ensemble import pack, unpack
from trainables.errors import InputError
from trainables.export import main as export
from trainables.losses import make_loss
from trainables.own_code import digest, run_source
from trainables.seeded import seeded
from trainables.training import Run, train
from trainables.verifier import Verifier, save_verifier

# all that is awkward: a weight that is no layer's, dropout of torch's, a draw in forward, a view of contiguous memory
SOURCE = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, side):
        super().__init__()
        self.scale = nn.Parameter(1 + 0.1 * torch.randn(4, 1, 1))
        self.layer = nn.Conv2d(3, 4, 7, stride=4)
        self.norm = nn.BatchNorm2d(4)
        self.head = nn.Linear(4 * ((side - 7) // 4 + 1) ** 2, 6)
        self.drop = nn.Dropout(0.2)

    def forward(self, chips):
        x = torch.relu(self.norm(self.layer(chips)) * self.scale)
        x = x + 0.01 * torch.randn_like(x) if self.training else x
        return self.head(self.drop(x.view(len(x), -1)))
"""


def own(source=SOURCE, name="Net", **values):
    part = {"network.encoder": "own", "network.own": f"mine.py:{name}", "network.source": source}
    return TrialConfig().override({**part, "epochs": 2, "optimiser.lr": 0.003, **values})


CONFIG = own(**{"network.dropout_conv": 0.1, "augmentation.theta": 0.4, "seed": 5})


def curve(config, data, run=None):
    return [dataclasses.replace(epoch, seconds=0) for epoch in train(config, data, run)]


def test_the_same_seed_gives_the_same_result_to_the_bit(device_data):
    """Whatever torch's global state is: weights, dropout and draws follow from the seed, and leave that state alone."""
    torch.manual_seed(1)
    first = curve(CONFIG, device_data)
    state = torch.get_rng_state()
    assert curve(CONFIG, device_data) == first
    assert torch.equal(torch.get_rng_state(), state)
    assert curve(CONFIG.override({"seed": 6}), device_data) != first


def test_a_run_is_gone_on_with_to_the_bit(device_data):
    """Restored from a checkpoint after an epoch it ends as unbroken, and its kept weights give its answers."""
    unbroken, begun = Run.fresh(CONFIG), Run.fresh(CONFIG)
    expected = curve(CONFIG, device_data, unbroken)
    first = next(train(CONFIG, device_data, begun))
    restored, _ = from_bytes(to_bytes(CONFIG, begun, Best(first, pack(begun.networks))), CONFIG)
    assert curve(CONFIG, device_data, restored) == expected[1:]
    (kept,) = unpack(CONFIG, pack(unbroken.networks))
    chips = torch.randn(3, 3, 75, 75)
    with torch.no_grad():
        assert torch.equal(kept.encode(chips), unbroken.networks[0].eval().encode(chips))


def test_weights_start_as_the_module_has_them_unless_an_initialisation_is_asked_for():
    """With init.kind default what the constructor sets stays; with another it is drawn anew, by our generator."""
    fixed = own(SOURCE.replace("self.drop =", "self.layer.weight.data.fill_(0.25); self.drop ="))
    default, he = (Run.fresh(fixed.override({"init.kind": kind})).networks[0].encoder for kind in ("default", "he"))
    assert torch.equal(default.module.layer.weight, torch.full_like(default.module.layer.weight, 0.25))
    assert he.module.layer.weight.std() > 0
    scales = [Run.fresh(fixed.override({"seed": seed})).networks[0].encoder.module.scale for seed in (0, 0, 1)]
    assert torch.equal(scales[0], scales[1])
    assert not torch.equal(scales[0], scales[2])


def test_the_members_of_an_ensemble_draw_for_themselves():
    """Two members of one config start with other weights, also those that are no layer's."""
    run = Run.fresh(CONFIG.override({"ensemble.members": 2, "ensemble.combine": "average"}))
    one, two = (member.model.encoder.module.scale for member in run.members)
    assert not torch.equal(one, two)


def test_lazy_layers_draw_their_weights_from_the_seed():
    """A layer that learns its size at the first chips starts otherwise under each seed, and alike under the same."""
    lazy = "from torch import nn\ndef lazy(): return nn.Sequential(nn.AvgPool2d(8), nn.Flatten(), nn.LazyLinear(5))\n"
    config = own(lazy, "lazy", **{"data.side": 24})
    weights = [
        Run.fresh(config.override({"seed": seed})).networks[0].encoder.module[2].weight.detach() for seed in (1, 2, 1)
    ]
    assert not torch.equal(weights[0], weights[1])
    assert torch.equal(weights[0], weights[2])


def test_where_it_looks_is_the_chips_times_their_gradient(device_data):
    """Without a map of features, relevance is that of pixels: its sum is the slope of the evidence along the chip."""
    network, loss = Run.fresh(own()).networks[0].double().eval(), make_loss(own().loss)
    first, second = torch.randn(2, 2, 3, 75, 75, dtype=torch.float64)
    maps = relevance(network, loss, first, second, 75)
    with torch.no_grad():
        up, down = (
            -loss.evidence(network, network.encode(first * s), network.encode(second)) for s in (1.0001, 0.9999)
        )
    assert maps.first.sum((1, 2)) == pytest.approx((up - down).numpy() / 0.0002, rel=0.05)


def test_a_function_and_a_class_make_it_with_or_without_the_side():
    """What makes the module is called with `side` where it has such an argument; E is found by trying."""
    makers = {
        "plain": "def plain(): return nn.Sequential(nn.AvgPool2d(8), nn.Flatten(), nn.LazyLinear(5))",
        "sided": "def sided(side): return nn.Sequential(nn.Flatten(), nn.Linear(3 * side * side, 7))",
        "Both": "class Both(nn.Sequential):\n  def __init__(self, side=9): super().__init__(nn.Flatten(), nn.Linear(3 * side * side, 8))",
    }
    for (name, text), size in zip(makers.items(), (5, 7, 8), strict=True):
        config = own(f"from torch import nn\n{text}\n", name, **{"data.side": 24})
        check_encoder(config)
        assert make_encoder(config.network, 24).embedding == size


NET = "from torch import nn\nimport torch\nclass Net(nn.Module):\n  def __init__(self):\n    super().__init__()\n    self.f = nn.Linear(3 * 75 * 75, 4)\n"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (NET, 'missing the required "forward" function'),
        (f"{NET}  def forward(self, x): return x", "made float32 (1, 3, 75, 75) of chips (1, 3, 75, 75); it must make a"),
        (f"{NET}  def forward(self, x): return self.f(x.flatten(1)).sum(1)", "made float32 (1,) of chips"),
        (f"{NET}  def forward(self, x): return self.f(x.flatten(1)).double()", "made float64 (1, 4)"),
        (f"{NET}  def forward(self, x): return [x]", "made a value of type list"),
        (f"{NET}  def forward(self, x): return self.f(x.flatten(0))[None]", "mine.py line 7: mine.py:Net on chips (2, 3, 75, 75): RuntimeError: mat1"),
        (f"{NET}  def forward(self, x): return self.f(x)", "line 7: mine.py:Net on chips (1, 3, 75, 75): RuntimeError"),
        (f"{NET}  def forward(self, x): return self.f(x.flatten(1)) / 0", "not finite"),
        (f"{NET}  def forward(self, x): return self.f(x.flatten(1)) - len(x)", "a chip otherwise beside another"),
        (f"{NET}  def forward(self, x): return torch.rand(len(x), 4)", "a chip otherwise beside another, or a second time"),
        (f"{NET}  def forward(self, x): return x.mean((2, 3))", "must have weights to train"),
        (NET.replace("Net", "Nett"), "mine.py has no Net; it has Nett"),
        ("Net = 3", "mine.py:Net is a value of type int; it must be a class or a function"),
        ("def Net(): return 3", "mine.py:Net makes a value of type int; it must make a torch.nn.Module"),
        ("def Net(): return [][1]", "mine.py line 1: mine.py:Net cannot be made: IndexError: list index out of range"),
        ("def Net(width, side): pass", "asks for width, side; it may ask for `side` and nothing else"),
        ("from torch import nn\nNet = nn.Linear(2, 2)", "mine.py:Net is a value of type Linear; it must be a class"),
        ("import no_such_package", "mine.py line 1: ModuleNotFoundError: No module named 'no_such_package'"),
        ("x = 1\ndef Net(:", "mine.py line 2: SyntaxError: "),
        ("x = '\0'", "mine.py"),
        ("raise SystemExit(3)", "mine.py line 1: SystemExit: 3"),
    ],
)  # fmt: skip
def test_a_promise_that_is_not_kept_is_one_line(source, said):
    """Each is an InputError that names file and name, the line where there is one, and what would be right."""
    with pytest.raises(InputError) as caught:
        check_encoder(own(source))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "mine.py" in str(caught.value)


def test_a_digest_is_that_of_the_file_and_code_runs_once():
    """The digest is the SHA-256 of the bytes; a module is made once of the same text, whose dataclasses work."""
    source = (
        "from __future__ import annotations\nfrom dataclasses import dataclass\n@dataclass\nclass A:\n  x: int = 3\n"
    )
    assert digest(source) == hashlib.sha256(source.encode()).hexdigest()
    assert run_source(source, "f.py") is run_source(source, "f.py")
    assert run_source("\ufeff" + source, "f.py").A().x == 3


def test_a_kept_verifier_runs_its_code_only_when_asked_to(trial_data, tmp_path, capsys):
    """It has the encoder's text, so it needs no file; without own_code, or --own-code, it is refused in a line."""
    run = Run.fresh(CONFIG)
    save_file(pack(run.networks), tmp_path / "w.safetensors")
    save_verifier(tmp_path, CONFIG, tmp_path / "w.safetensors", trial_data)
    with pytest.raises(InputError, match=r"its encoder, mine\.py:Net, is code that is kept with it"):
        Verifier.load(tmp_path)
    (network,) = Verifier.load(tmp_path, own_code=True).networks
    chips = torch.randn(2, 3, 75, 75)
    with torch.no_grad():
        assert torch.equal(network.encode(chips), run.networks[0].eval().encode(chips))
    for options, said in (
        ([], "--own-code (own_code=True in Python) lets it run"),
        (["--own-code"], "no such file or folder"),
    ):
        assert main(["--model", str(tmp_path), *options, "none.png", "none.png"]) == 2
        assert said in capsys.readouterr().err


def test_a_kept_verifier_is_exported_only_when_its_code_may_run(trial_data, tmp_path, capsys):
    """Tracing a network runs it, so --own-code is asked for here too; with it the file is written and checked."""
    config = own(SOURCE.replace("x.view(len(x), -1)", "x.flatten(1)"))
    save_file(pack(Run.fresh(config).networks), tmp_path / "w.safetensors")
    save_verifier(tmp_path, config, tmp_path / "w.safetensors", trial_data)
    assert export([str(tmp_path), "--to", "torchscript"]) == 2
    assert "--own-code" in capsys.readouterr().err
    assert not (tmp_path / "verifier.pt").exists()
    assert export([str(tmp_path), "--to", "torchscript", "--own-code"]) == 0
    assert (tmp_path / "verifier.pt").exists()


@pytest.mark.gpu
def test_torchs_generators_of_a_gpu_are_seeded_and_put_back():
    """Inside, equal seeds draw alike on the device; behind it the device's generator goes on as before."""
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    torch.cuda.manual_seed(1)
    state, drawn = torch.cuda.get_rng_state(), []
    for _ in range(2):
        with seeded(3, "cuda"):
            drawn.append(torch.randn(4, device="cuda").tolist())
    assert drawn[0] == drawn[1]
    assert torch.equal(torch.cuda.get_rng_state(), state)
    assert np.isfinite(drawn).all()
