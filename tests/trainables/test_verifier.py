"""A verifier kept in a folder, and the command that uses it."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from trainables.compare import main
from trainables.config import TrialConfig
from trainables.data import ChipSet
from trainables.ensemble import mean_score, pack
from trainables.errors import InputError
from trainables.images.given import picture_of
from trainables.images.pixels import decode_image
from trainables.images.readers import Reading, read_chips
from trainables.images.scale import OF_FILES, Scale
from trainables.losses import make_loss
from trainables.preparation import prepare
from trainables.stored_chips import StoredChips
from trainables.training import DeviceData, Run, train, validate
from trainables.verifier import DESCRIPTION, EIGHT_BIT, RAW, RENDERED, WEIGHTS, Verifier, pixels_of, save_verifier

ROOT = Path(__file__).resolve().parents[2]
CONFIG = TrialConfig().override({"epochs": 3, "optimiser.lr": 0.005})


def keep(folder, config, data):
    """Train `config` on `data` and keep the verifier; return its run."""
    folder.mkdir(exist_ok=True)
    run = Run.fresh(config)
    list(train(config, DeviceData.of(data), run))
    save_file(pack(run.networks), folder / "w.safetensors")
    save_verifier(folder, config, folder / "w.safetensors", data)
    return run


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """A verifier of bright against dark pictures, two folders of them, and the same chips as arrays."""
    root = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 2
    chips = (rng.integers(0, 60, (60, 75, 75, 3)) + 120 * labels[:, None, None, None]).astype(np.uint8)
    data = prepare(ChipSet(chips, labels, ("dark", "bright"), "test", scale=OF_FILES), "grouped").for_trials()
    run = keep(root / "study", CONFIG, data)
    for name, label in (("dark", 0), ("bright", 1)):
        (root / name).mkdir()
        for number in range(3):
            Image.fromarray(chips[labels == label][number]).save(root / name / f"{number}.png")
    return root, data, run


def test_a_kept_verifier_scores_as_the_network_did(pictures):
    """Scores of 8-bit validation chips equal, to rounding, those of the network that was trained."""
    root, data, run = pictures
    device = DeviceData.of(data).validation
    verifier = Verifier.load(root / "study")
    embedded = verifier.embed(data.validation.images)
    score = verifier.score(embedded[device.first], embedded[device.second])
    expected = validate(run.networks[0], device, make_loss(CONFIG.loss))[1]
    assert score == pytest.approx(expected.numpy(), abs=1e-5)


def test_a_verifier_of_another_side_is_kept_with_it(tmp_path, capsys):
    """Trained on chips read at 90 and shown at 40, it scores files as it did the chips that they became."""
    rng = np.random.default_rng(0)
    for number in range(40):
        (tmp_path / "all" / f"{number % 2}").mkdir(parents=True, exist_ok=True)
        picture = (rng.integers(0, 60, (180, 180, 3)) + 120 * (number % 2)).astype(np.uint8)
        Image.fromarray(picture).save(tmp_path / "all" / f"{number % 2}" / f"{number}.png")
    chips = read_chips(tmp_path / "all", Reading(side=90))
    network = {"network.encoder": "small", "network.width": 4, "network.depth": 2, "data.side": 40}
    run = keep(tmp_path / "study", CONFIG.override(network), prepare(chips, "random").for_trials())
    verifier = Verifier.load(tmp_path / "study")
    assert verifier.side == 90
    embedded = verifier.embed(chips.images[:4])
    stored = StoredChips.of(chips.images[:4], verifier.mean, verifier.sd)
    with torch.no_grad():
        expected = run.networks[0].eval().encode(stored.at(40).normalised)
    assert embedded == pytest.approx(expected.numpy(), abs=1e-5)
    one, other = (tmp_path / "all" / name for name in chips.names[:2])
    assert main(["--model", str(tmp_path / "study"), str(one), str(other)]) == 0
    probability = 1 - float(verifier.score(embedded[:1], embedded[1:2])[0])
    assert float(capsys.readouterr().out.split("\t")[3]) == pytest.approx(probability, abs=1e-4)


def test_a_verifier_kept_before_there_were_sides_is_the_reports(pictures, tmp_path):
    """A description without a side, and weights without the encoder's name, are those of chips of 75."""
    root, data, _ = pictures
    shutil.copytree(root / "study", tmp_path / "old")
    described = json.loads((tmp_path / "old" / DESCRIPTION).read_text())
    del (
        described["side"],
        described["threshold"],
        described["config"]["data"],
        described["config"]["network"]["encoder"],
    )
    (tmp_path / "old" / DESCRIPTION).write_text(json.dumps(described))
    weights = load_file(tmp_path / "old" / WEIGHTS)
    save_file({name.removeprefix("encoder."): w for name, w in weights.items()}, tmp_path / "old" / WEIGHTS)
    old, new = Verifier.load(tmp_path / "old"), Verifier.load(root / "study")
    assert np.array_equal(old.embed(data.validation.images), new.embed(data.validation.images))
    assert old.threshold == 0.5


def test_an_ensemble_is_kept_whole(trial_data, tmp_path):
    """The kept average of two members, with batch normalisation, scores as the mean of both networks."""
    config = CONFIG.override(
        {"ensemble.members": 2, "ensemble.combine": "average", "network.batch_norm": True, "epochs": 1}
    )
    run = keep(tmp_path / "study", config, trial_data)
    device = DeviceData.of(trial_data).validation
    verifier = Verifier.load(tmp_path / "study")
    embedded = verifier.encode(device.chips)
    assert embedded.shape == (len(trial_data.validation.images), 2 * 18)
    score = verifier.score(embedded[device.first], embedded[device.second])
    loss = make_loss(config.loss)
    expected = mean_score([validate(n, device, loss)[1] for n in run.networks])
    assert score == pytest.approx(expected.numpy(), abs=1e-5)
    one, other = trial_data.validation.images[:2]
    pair = verifier.compare(one, other)
    assert pair.score == pytest.approx(float(verifier.score(embedded[:1], embedded[1:2])[0]), abs=1e-5)


def test_a_rendered_chip_kept_as_a_picture_is_judged_as_before(chips, trial_data, tmp_path):
    """Chips of bands over their own range, saved as 8-bit pictures, score within 0.02 of the floats they were."""
    keep(tmp_path / "study", CONFIG, trial_data)
    verifier = Verifier.load(tmp_path / "study")
    assert verifier.pixels == RENDERED
    floats = chips.images[:20]
    low, high = floats.min((1, 2), keepdims=True), floats.max((1, 2), keepdims=True)
    from_pictures = verifier.embed(((floats - low) / (high - low) * 255).round().astype(np.uint8))
    normal = torch.from_numpy((floats - trial_data.mean) / trial_data.sd).permute(0, 3, 1, 2)
    with torch.no_grad():
        exact = verifier.networks[0].encode(normal).numpy()
    scores = [verifier.score(embedded, np.roll(embedded, 1, 0)) for embedded in (from_pictures, exact)]
    assert scores[0] == pytest.approx(scores[1], abs=0.02)
    assert verifier.embed(floats) == pytest.approx(exact, abs=1e-4)


def test_the_kind_of_numbers_is_told_apart(chips):
    """8-bit arrays, bands over their own range, and other floats have three names; the last cannot take pictures."""
    assert pixels_of(np.zeros((2, 75, 75, 3), np.uint8)) == EIGHT_BIT
    assert pixels_of(chips.images) == RENDERED
    assert pixels_of(chips.images * 3 + 1) == RAW
    with pytest.raises(InputError, match="image files cannot be brought"):
        Verifier(CONFIG, [], RAW, np.zeros(3), np.ones(3)).embed(np.zeros((1, 75, 75, 3), np.uint8))


SCALES = {
    "0..1, whole": (lambda chips: (chips > 90).astype(np.uint8), Scale(1, True)),
    "0..1, floats": (lambda chips: chips / 255, Scale(1, False)),
    "0..16": (lambda chips: (chips / 255 * 16).round().astype(np.uint8), Scale(16, True)),
    "0..255": (lambda chips: chips, Scale(255, True)),
    "0..255, floats": (lambda chips: chips.astype(np.float32), Scale(255, False)),
    "0..65535": (lambda chips: chips.astype(np.uint16) * 257, Scale(65535, False)),
    "-1..1": (lambda chips: chips / 127.5 - 1, None),
    "0..100": (lambda chips: chips * (100 / 255), None),
}


@pytest.mark.parametrize("name", SCALES)
def test_ordinary_images_are_brought_to_the_scale_of_training(name, tmp_path):
    """Pictures kept as arrays on another scale come back from PNG as the arrays' numbers, or the scale is not known."""
    to_scale, expected = SCALES[name]
    rng = np.random.default_rng(0)
    chips = np.where(rng.random((12, 30, 30, 1)) < 0.5, 0, 255).astype(np.uint8).repeat(3, -1)
    np.savez(tmp_path / "x.npz", X_train=to_scale(chips), Y_train=np.arange(12) % 2)
    read = read_chips(tmp_path / "x.npz")
    assert read.scale == expected
    if expected:
        pictures = []
        for number, chip in enumerate(chips):
            Image.fromarray(chip).save(tmp_path / f"{number}.png")
            pictures.append(decode_image((tmp_path / f"{number}.png").read_bytes()))
        brought = expected.bring(np.stack(pictures))
        assert np.abs(brought - read.images).max() <= (1 if expected.whole else expected.top / 255)
        most = (
            0.1 if expected.top == 1 and expected.whole else 0.01
        )  # whole numbers are rounded in each pass of a resize
        assert np.abs(brought - read.images).mean() <= most * expected.top


@pytest.mark.parametrize("name", ["0..1, whole", "0..65535", "0..100"])
def test_a_verifier_answers_on_its_own_scale_or_not_at_all(name, capsys, tmp_path, monkeypatch):
    """Trained on 0/1 arrays or on 0..65535, compare answers for the same pictures as PNG; of an unknown scale it says so.

    Images of more than eight bits, which files stretch, are refused by a verifier of arrays.
    """
    to_scale, _ = SCALES[name]
    bright, rng = np.arange(60) % 2, np.random.default_rng(0)
    full = rng.random((60, 75, 75, 1)) < 0.2 + 0.6 * bright[:, None, None, None]
    chips = np.where(full, 255, 0).astype(np.uint8).repeat(3, -1)
    np.savez(tmp_path / "x.npz", X_train=to_scale(chips), Y_train=bright)
    keep(tmp_path / "study", CONFIG, prepare(read_chips(tmp_path / "x.npz"), "grouped").for_trials())
    Image.fromarray(np.full((75, 75), 40_000, np.uint16)).save(tmp_path / "deep.png")
    for label, kind in enumerate(("dark", "bright")):
        (tmp_path / kind).mkdir()
        for number in range(3):
            Image.fromarray(chips[bright == label][number]).save(tmp_path / kind / f"{number}.png")
    monkeypatch.chdir(tmp_path)
    asked = ["--model", str(tmp_path / "study")]
    if name == "0..100":
        assert main([*asked, "dark", "bright"]) == 2
        assert "image files cannot be brought to it" in capsys.readouterr().err
        return
    assert main([*asked, "dark", "bright"]) == main([*asked, "dark", "dark/0.png"]) == 0
    answers = [line.split("\t")[2] for line in capsys.readouterr().out.splitlines()]
    assert answers == ["different"] * 9 + ["similar"] * 3
    assert main([*asked, str(tmp_path / "deep.png"), "dark"]) == 2
    assert "more than 8 bits a channel" in capsys.readouterr().err


def test_a_verifier_kept_before_scales_were_told(pictures, tmp_path):
    """Its numbers tell: those of 8-bit files are taken as such, small ones, as of 0/1 arrays, are refused."""
    description = json.loads((pictures[0] / "study" / DESCRIPTION).read_text())
    del description["scale"]
    for mean, sd, expected in ([90.0] * 3, [60.0] * 3, OF_FILES), ([0.5] * 3, [0.5] * 3, None):
        (tmp_path / DESCRIPTION).write_text(json.dumps(description | {"mean": mean, "sd": sd}))
        (tmp_path / WEIGHTS).write_bytes((pictures[0] / "study" / WEIGHTS).read_bytes())
        assert Verifier.load(tmp_path).scale == expected


def test_compare_says_which_check_its_verifier_failed(pictures, capsys, monkeypatch, tmp_path):
    """A report beside the verifier with a failed check, or one that could not judge, is a note on standard error."""
    shutil.copytree(pictures[0] / "study", tmp_path / "study")
    findings = [
        {"id": "chance", "severity": "note", "evidence": "too few"},
        {"id": "feasibility", "severity": "fail", "evidence": "9 of 9 failed"},
        {"id": "density", "severity": "warn", "evidence": "first look"},
    ]
    (tmp_path / "study" / "report.json").write_text(json.dumps({"findings": findings}))
    monkeypatch.chdir(pictures[0])
    assert main(["--model", str(tmp_path / "study"), "dark/0.png", "bright/0.png"]) == 0
    out, err = capsys.readouterr()
    assert out.count("\n") == 1
    assert "could not judge: chance (too few)" in err and "failed: feasibility (9 of 9 failed)" in err
    assert err.count("\n") == 2


def test_two_images_are_compared_as_the_command_does(pictures, monkeypatch, capsys):
    """A path, the same as a Pillow image, and its pixels have one score; below the verifier's threshold they are similar."""
    root = pictures[0]
    monkeypatch.chdir(root)
    verifier = Verifier.load("study")
    dark, bright = ("dark/0.png", "bright/0.png")
    answer = verifier.compare(dark, bright)
    assert (answer.similar, answer.threshold) == (False, 0.5) and answer.score > 0.5
    assert verifier.compare(Path(dark), Image.open("dark/1.png")).similar
    for given in (Image.open(bright), np.asarray(Image.open(bright)), np.asarray(Image.open(bright)).astype(int)):
        assert verifier.compare(dark, given) == answer
    assert main(["--model", "study", dark, bright]) == 0
    assert capsys.readouterr().out.split("\t")[2:] == ["different", f"{1 - answer.score:.4f}\n"]
    for place in (root / "study", root / "study" / WEIGHTS, f"study/{DESCRIPTION}"):
        assert Verifier.load(place, threshold=1).compare(dark, bright).similar
    assert verifier.embed([dark, Image.open(bright), np.zeros((30, 40), np.uint8)]).shape == (3, 18)


def test_a_pillow_image_is_read_as_its_file(tmp_path):
    """Of 16 bits, of floats, with a palette, turned by its EXIF: the chip is that of the file it was opened from."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 255, (40, 60, 3)).astype(np.uint8)
    Image.fromarray(pixels[..., 0].astype(np.uint16) * 100).save(tmp_path / "deep.png")
    Image.fromarray(pixels[..., 0].astype(np.float32) / 3).save(tmp_path / "float.tif")
    Image.fromarray(pixels).convert("P").save(tmp_path / "palette.png")
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.fromarray(pixels).save(tmp_path / "turned.png", exif=turned)
    for path in sorted(tmp_path.iterdir()):
        file, image = picture_of(path, 75), picture_of(Image.open(path), 75)
        assert np.array_equal(file.pixels, image.pixels), path.name
        assert file.remarks == image.remarks


@pytest.mark.parametrize("name", ["0..1, floats", "0..16", "0..65535"])
def test_arrays_have_the_numbers_that_it_was_trained_on(name, tmp_path):
    """The training set's own arrays are embedded as the chips they became; the same as 8-bit pictures too."""
    to_scale, scale = SCALES[name]
    rng = np.random.default_rng(0)
    chips = np.where(rng.random((60, 75, 75, 1)) < 0.5, 0, 255).astype(np.uint8).repeat(3, -1)
    np.savez(tmp_path / "x.npz", X_train=to_scale(chips), Y_train=np.arange(60) % 2)
    read = read_chips(tmp_path / "x.npz")
    config = CONFIG.override({"epochs": 1})
    keep(tmp_path / "study", config, prepare(read, "random").for_trials())
    verifier = Verifier.load(tmp_path / "study")
    expected = verifier.encode(StoredChips.of(read.images[:4], verifier.mean, verifier.sd))
    assert verifier.embed(to_scale(chips[:4])) == pytest.approx(expected, abs=1e-5)
    pictures = [Image.fromarray(chip) for chip in chips[:4]]
    assert verifier.embed(pictures) == pytest.approx(expected, abs=1e-2)
    if not scale.whole:
        assert verifier.embed(chips[:4]) == pytest.approx(expected, abs=1e-2)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (lambda v: v.compare("none.png", "none.png"), "none.png: cannot be read (No such file or directory)"),
        (lambda v: v.compare(np.zeros((3, 75, 75)), np.zeros((75, 75))), "an array of shape (3, 75, 75) is no image"),
        (lambda v: v.embed("dark/0.png"), "embed takes several images; give a list of them"),
        (lambda v: v.embed([]), "no images to embed"),
        (lambda v: v.embed([np.full((9, 9), np.nan)]), "not all finite"),
        (lambda v: v.embed([np.full((9, 9), 0.5)]), "trained on bytes; give whole numbers of 0 to 255"),
        (lambda v: Verifier.load("study", threshold=2), "threshold 2: a score lies in 0 to 1"),
    ],
)
def test_what_is_no_image_is_refused_in_a_line(pictures, monkeypatch, given, said):
    """A path that leads nowhere, channels first, one image where several are meant, other numbers: InputError says what would do."""
    monkeypatch.chdir(pictures[0])
    with pytest.raises(InputError) as error:
        given(Verifier.load("study"))
    assert said in str(error.value) and "\n" not in str(error.value)


def test_two_pictures_in_a_process_of_its_own(pictures):
    """python -m trainables.compare says for each pair similar or different with its probability, without Ray or Optuna."""
    root = pictures[0]
    code = (
        "import sys, runpy; sys.argv[0] = 'compare'; "
        "runpy.run_module('trainables.compare', run_name='__main__', alter_sys=True)"
    )
    command = ["--model", "study", "dark/0.png", "bright/0.png"]
    blocked = "import sys; sys.modules['ray'] = sys.modules['optuna'] = sys.modules['pandas'] = None; "
    done = subprocess.run(
        [sys.executable, "-c", blocked + code, *command],
        cwd=root,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    first, second, answer, probability = done.stdout.rstrip("\n").split("\t")
    assert (first, second, answer) == ("dark/0.png", "bright/0.png", "different")
    assert 0 <= float(probability) < 0.5


def test_a_folder_against_a_folder(pictures, capsys, monkeypatch):
    """Every image of one against every image of the other, a line each, and all of them right here."""
    monkeypatch.chdir(pictures[0])
    assert main(["--model", "study", "dark", "bright"]) == 0
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [line[:2] for line in lines] == [[f"dark/{a}.png", f"bright/{b}.png"] for a in range(3) for b in range(3)]
    assert {line[2] for line in lines} == {"different"}
    assert main(["--model", "study", "dark", "dark/0.png"]) == 0
    assert {line.split("\t")[2] for line in capsys.readouterr().out.splitlines()} == {"similar"}


def test_hidden_files_are_no_images(pictures, capsys, monkeypatch):
    """What a Mac leaves in a folder (._0.png, __MACOSX) is passed over, as in reading a training set."""
    monkeypatch.chdir(pictures[0])
    left = [Path("dark/._0.png"), Path("dark/__MACOSX/0.png")]
    left[1].parent.mkdir()
    for file in left:
        file.write_bytes(b"x")
    assert main(["--model", "study", "dark", "bright/0.png"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3
    for file in left:
        file.unlink()
    left[1].parent.rmdir()


def test_linked_folders_are_compared(pictures, capsys, monkeypatch, tmp_path):
    """A folder of links is a folder of images here too."""
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "linked").symlink_to(pictures[0] / "dark")
    monkeypatch.chdir(pictures[0])
    assert main(["--model", "study", str(tmp_path / "new"), "bright/0.png"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_names_stay_on_one_line_and_a_reader_may_stop_early(pictures):
    """In a terminal of plain ASCII a name with a tab and a foreign letter is escaped; `head -1` ends it without a word."""
    folder = pictures[0]
    odd = folder / "dark" / "\u6c37\t.png"
    odd.write_bytes((folder / "dark" / "0.png").read_bytes())
    command = [sys.executable, "-m", "trainables.compare", "--model", str(folder / "study"), str(odd)]
    run = {"cwd": ROOT, "env": os.environ | {"PYTHONIOENCODING": "ascii"}, "capture_output": True, "text": True}
    found = subprocess.run([*command, str(folder / "bright")], **run)
    assert found.returncode == 0
    assert all(len(line.split("\t")) == 4 and "\\u6c37\\t.png" in line for line in found.stdout.splitlines())
    piped = subprocess.run(["bash", "-c", f"{shlex.join([*command, str(folder / 'bright')])} | head -1"], **run)
    assert (piped.stdout.count("\n"), piped.stderr) == (1, "")
    odd.unlink()


def test_the_threshold_decides(pictures, capsys, monkeypatch):
    """At threshold 1 everything below certainty is similar, at 0 nothing is."""
    monkeypatch.chdir(pictures[0])
    for threshold, answer in (("1", "similar"), ("0", "different")):
        assert main(["--model", "study", "--threshold", threshold, "dark/0.png", "bright/0.png"]) == 0
        assert capsys.readouterr().out.split("\t")[2] == answer


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--model", "nowhere", "dark", "bright"], f"nowhere/{DESCRIPTION}: cannot be read"),
        (["--model", "study", "dark", "none.png"], "none.png: no such file or folder"),
        (["--model", "study", "dark", "empty"], "empty: no images in this folder"),
        (["--model", "study", "dark", "text.png"], "text.png: unreadable or truncated image"),
        (["--model", "study", "dark"], "the following arguments are required: B"),
        (["--model", "study", "--threshold", "2", "dark", "bright"], "--threshold 2"),
        (["--model", "edited", "dark", "bright"], f"edited/{DESCRIPTION}: describes no verifier"),
        (["--model", "listed", "dark", "bright"], f"listed/{DESCRIPTION}: holds list"),
        (["--model", "huge", "dark", "bright"], f"huge/{DESCRIPTION}: describes no verifier"),
        (["--model", "endless", "dark", "bright"], f"endless/{DESCRIPTION}: describes no verifier"),
        (["--model", "deep", "dark", "bright"], f"deep/{DESCRIPTION}: not valid JSON"),
        (["--model", "study", "dark", "x" * 300], "cannot be read (File name too long)"),
        (["--model", "cut", "dark", "bright"], f"cut/{WEIGHTS}: not the weights of"),
        (["--model", "other", "dark", "bright"], f"other/{WEIGHTS}: not the weights of"),
    ],
)
def test_a_mistake_is_one_line_and_exit_2(pictures, tmp_path, capsys, monkeypatch, arguments, said):
    """Missing, unreadable or edited images and models exit 2 with one line that names them."""
    monkeypatch.chdir(tmp_path)
    study = pictures[0] / "study"
    text = (study / DESCRIPTION).read_text()
    content = json.loads(text)
    studies = {
        "study": (text, None),
        "edited": (text.replace('"sd"', '"deviation"'), None),
        "listed": ("[]", None),
        "huge": (json.dumps(content | {"mean": [10**400, 1, 1]}), None),
        "endless": (json.dumps(content | {"sd": [float("inf"), 1, 1]}), None),
        "deep": ("[" * 100_000, None),
        "cut": (text, (study / WEIGHTS).read_bytes()[:500]),
        "other": (json.dumps(content | {"config": content["config"] | {"network": {"batch_norm": True}}}), None),
    }
    for name, (description, weights) in studies.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / DESCRIPTION).write_text(description)
        (tmp_path / name / WEIGHTS).write_bytes(weights or (study / WEIGHTS).read_bytes())
    for name in ("dark", "bright"):
        (tmp_path / name).symlink_to(pictures[0] / name)
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.png").write_text("not a picture")
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert err.count("\n") == 1
