"""A verifier exported for other programs: what the file answers, what it says of itself, and what is refused."""

import json
import sys
import warnings

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from trainables.config import TrialConfig
from trainables.data import channel_statistics
from trainables.ensemble import pack
from trainables.errors import InputError
from trainables.export import FORMATS, METADATA, TOLERANCE, export, main
from trainables.images.scale import OF_FILES, Scale
from trainables.images.synthetic import simulate
from trainables.training import Run
from trainables.verifier import EIGHT_BIT, RAW, RENDERED, Verifier, save_verifier

SMALL = {"network.encoder": "small", "network.width": 4, "network.depth": 3}
CONFIGS = {
    "report": {},
    "report, batch normalisation": {"network.batch_norm": True, "network.dropout_conv": 0.2},
    "report, distance": {"network.head": "distance"},
    "report, contrastive": {"loss.kind": "contrastive"},
    "small": {**SMALL, "data.side": 40, "data.grey": True, "network.dropout_out": 0.2},
    "small, distance": {**SMALL, "network.head": "distance", "loss.kind": "contrastive"},
    "koch, distance": {"network.encoder": "koch", "data.side": 105, "network.head": "distance"},
    "resnet18": {"network.encoder": "resnet18", "data.side": 32},
    "ensemble": {"ensemble.members": 2, "ensemble.combine": "average"},
}


def verifier(name="report", pixels=EIGHT_BIT, scale=OF_FILES):
    """Untrained networks of a config, with statistics as a training set has them."""
    config = TrialConfig().override({"seed": 3, **CONFIGS[name]})
    mean, sd = np.array([100, 110, 120], np.float32), np.array([50, 60, 55], np.float32)
    if pixels == RENDERED:
        mean, sd = channel_statistics(simulate(20, seed=1).images)
    elif pixels == RAW:
        mean, sd = mean / 255, sd / 255
    networks = [network.eval() for network in Run.fresh(config).networks]
    return Verifier(config, networks, pixels, mean, sd, scale, config.data.side)


@pytest.fixture
def onnxruntime():
    pytest.importorskip("onnx", reason="needs the extra onnx")
    return pytest.importorskip("onnxruntime", reason="needs the extra onnx")


NAMES = [pytest.param(name, marks=pytest.mark.slow if name.startswith("koch") else ()) for name in CONFIGS]


@pytest.mark.parametrize("name", NAMES)
def test_torchscript_answers_as_every_network_does(name, tmp_path):
    """Each encoder with each head, losses, ensembles: a file that agrees, in batches of any size."""
    own = verifier(name)
    assert export(own, "torchscript", tmp_path / "v.pt") <= TOLERANCE
    _answers_like(own, FORMATS["torchscript"].load(tmp_path / "v.pt"))


@pytest.mark.parametrize("name", NAMES)
def test_onnxruntime_answers_as_every_network_does(name, tmp_path, onnxruntime):
    """The same, run by onnxruntime alone."""
    own = verifier(name)
    assert export(own, "onnx", tmp_path / "v.onnx") <= TOLERANCE
    session = onnxruntime.InferenceSession(tmp_path / "v.onnx")

    def run(first, second):
        sides = {"first": first.transpose(0, 3, 1, 2), "second": second.transpose(0, 3, 1, 2)}
        return session.run(["score", "first_embedding", "second_embedding"], sides)

    _answers_like(own, run)


def _answers_like(own, run):
    """Other chips than those of the command's own check: what the verifier says of them as arrays."""
    side, rng = own.config.data.side, np.random.default_rng(5)
    first, second = rng.integers(0, 256, (2, 3, side, side, 3), dtype=np.uint8)
    one, other = own.embed(first), own.embed(second)
    for answer, expected in zip(run(first, second), (own.score(one, other), one, other), strict=True):
        assert answer.shape == expected.shape
        assert answer == pytest.approx(expected, abs=TOLERANCE)


@pytest.mark.parametrize(("pixels", "scale"), [(RENDERED, None), (RAW, Scale(1, False)), (EIGHT_BIT, Scale(16, True))])
@pytest.mark.parametrize("kind", FORMATS)
def test_chips_have_the_numbers_of_training(kind, pixels, scale, tmp_path, request):
    """Bands over their own range are brought to it inside, floats and bytes are taken as they are."""
    if kind == "onnx":
        request.getfixturevalue("onnxruntime")
    own = verifier(pixels=pixels, scale=scale)
    export(own, kind, tmp_path / "v")
    run = FORMATS[kind].load(tmp_path / "v")
    chips = (
        simulate(4, seed=2).images * 7 - 3 if pixels == RENDERED else np.random.default_rng(0).random((4, 75, 75, 3))
    )
    chips = (16 * chips).astype(np.uint8) if pixels == EIGHT_BIT else chips.astype(np.float32)
    one, other = own.embed(chips), own.embed(chips[::-1])
    assert run(chips, chips[::-1])[0] == pytest.approx(own.score(one, other), abs=TOLERANCE)


def test_the_file_says_how_to_use_it(tmp_path, onnxruntime):
    """Threshold, side, pixels, scale and the whole config stand in both files, under the same names."""
    own = verifier("small")
    export(own, "onnx", tmp_path / "v.onnx")
    export(own, "torchscript", tmp_path / "v.pt")
    found = onnxruntime.InferenceSession(tmp_path / "v.onnx").get_modelmeta().custom_metadata_map
    kept = {METADATA: ""}
    with warnings.catch_warnings(action="ignore"):  # that TorchScript will be replaced
        torch.jit.load(tmp_path / "v.pt", _extra_files=kept)
    assert json.loads(kept[METADATA]) == found
    assert (float(found["threshold"]), int(found["side"]), found["pixels"]) == (0.5, 40, EIGHT_BIT)
    assert found["chips"] == "(B, 3, 40, 40), RGB, resized with antialiasing, uint8"
    assert Scale.from_dict(json.loads(found["scale"])) == OF_FILES
    assert TrialConfig.from_dict(json.loads(found["config"])) == own.config


@pytest.fixture
def study(tmp_path, trial_data):
    """A study's folder with a verifier in it."""
    config, folder = TrialConfig(), tmp_path / "study"
    folder.mkdir()
    save_file(pack(Run.fresh(config).networks), tmp_path / "w.safetensors")
    save_verifier(folder, config, tmp_path / "w.safetensors", trial_data)
    return folder


def test_the_command_says_what_it_checked_and_where_the_file_is(study, tmp_path, capsys):
    """The path is all of standard output, the largest difference a line of standard error; nothing else is left."""
    assert main([str(study), "--to", "torchscript"]) == 0
    out, err = capsys.readouterr()
    assert out == f"{study / 'verifier.pt'}\n"
    assert err.startswith("largest difference from the verifier: ") and err.count("\n") == 1
    assert main([str(study / "verifier.safetensors"), "--to", "torchscript", "--out", str(tmp_path / "x.pt")]) == 0
    assert {path.name for path in study.iterdir()} == {"verifier.json", "verifier.safetensors", "verifier.pt"}
    assert (tmp_path / "x.pt").stat().st_size > 100_000


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere", "--to", "onnx"], "nowhere/verifier.json: cannot be read"),
        (["study"], "the following arguments are required: --to"),
        (["study", "--to", "tflite"], "invalid choice: 'tflite'"),
        (["study", "--to", "torchscript", "--out", "study"], "--out study: is a folder; give a file"),
        (["study", "--to", "torchscript", "--out", "no/v.pt"], "no/v.pt: cannot be written"),
        (["study", "--to", "onnx"], '--to onnx: needs the package onnx; pip install "siamese-search[onnx]"'),
    ],
)
def test_a_mistake_is_one_line_and_exit_2(study, monkeypatch, capsys, arguments, said):
    """No verifier, no such format, nowhere to write, a package that is missing: a line that says what would do."""
    monkeypatch.chdir(study.parent)
    monkeypatch.setitem(sys.modules, "onnx", None)
    before = sorted(study.parent.rglob("*"))
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err and err.count("\n") == 1
    assert sorted(study.parent.rglob("*")) == before


@pytest.mark.parametrize("kind", FORMATS)
def test_a_network_for_one_number_of_chips_is_refused(kind, tmp_path, request):
    """Layers that keep the number of chips they were traced with are found out, and a line says what would do."""
    if kind == "onnx":
        request.getfixturevalue("onnxruntime")

    class Viewing(torch.nn.Flatten):
        def forward(self, x):
            return x.view(len(x), -1)

    own = verifier()
    own.networks[0].encoder.embed = lambda features: Viewing()(features.contiguous())[:, :18]
    with pytest.raises(InputError, match=r"cannot be exported to .*x\.flatten\(1\)") as error:
        export(own, kind, tmp_path / "v")
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_what_answers_otherwise_is_not_written(tmp_path, monkeypatch):
    """A file whose scores are off by a thousandth is refused, and none is left."""
    made, own = FORMATS["torchscript"], verifier()

    def askew(path):
        run = made.load(path)
        return lambda first, second: [answer + 1e-3 for answer in run(first, second)]

    monkeypatch.setitem(FORMATS, "torchscript", type(made)(made.ending, made.content, askew))
    with pytest.raises(InputError, match=r"not written, since what was exported answers otherwise .* 0\.001"):
        export(own, "torchscript", tmp_path / "v.pt")
    assert list(tmp_path.iterdir()) == []
