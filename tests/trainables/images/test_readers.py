"""Guards how a user's images become chips, and that what cannot be used is one line."""

import gzip
import io
import json
import zipfile

import numpy as np
import pytest
from PIL import Image

from trainables.errors import InputError
from trainables.images.pixels import decode_image
from trainables.images.readers import Reading, read_chips
from trainables.preparation import prepare

RECORD = {"id": "a", "band_1": [float(n % 97) for n in range(5625)], "band_2": [float(n % 31) for n in range(5625)]}


def encoded(size=(30, 20), mode="RGB", kind="PNG", seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(file, kind)
    return file.getvalue()


def folder(root, files):
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def zipped(path, files):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


CLASSES = {"cat/1.png": encoded(seed=1), "cat/2.jpg": encoded(kind="JPEG"), "dog/x.bmp": encoded((80, 90), "L", "BMP")}


def test_a_folder_and_its_zip_read_alike(tmp_path):
    """Class folders of mixed sizes, modes and formats give the same chips as a folder, as a zip, and one folder down."""
    plain = read_chips(folder(tmp_path / "plain", CLASSES))
    assert plain.images.shape == (3, 75, 75, 3)
    assert plain.counts() == {"cat": 2, "dog": 1}
    backwards = dict(reversed(CLASSES.items()))
    deeper = {f"set/train/{name}": content for name, content in CLASSES.items()}
    for other in (
        zipped(tmp_path / "a.zip", backwards),
        zipped(tmp_path / "b.zip", deeper),
        folder(tmp_path / "c", deeper),
    ):
        chips = read_chips(other)
        assert np.array_equal(chips.images, plain.images)
        assert chips.classes == plain.classes


def test_hidden_and_foreign_files_are_passed_over(tmp_path):
    """.DS_Store and __MACOSX beside the images change nothing; files of other kinds are passed over with a note."""
    extra = {".DS_Store": b"x", "__MACOSX/cat/1.png": b"x", "cat/.hidden.png": b"x"}
    chips = read_chips(folder(tmp_path / "a", CLASSES | extra))
    assert len(chips) == 3 and chips.notes == ()
    others = {"cat/1.HEIC": b"x", "dog/2.heic": b"x", "cat/notes": b"hello"}
    chips = read_chips(folder(tmp_path / "b", CLASSES | extra | others))
    assert len(chips) == 3 and chips.notes == ("passed over files of other kinds: .heic (2), no ending (1)",)


@pytest.mark.parametrize(
    "name", ["@eaDir/1.png", "$RECYCLE.BIN/x/1.png", "lost+found/1.png", "node_modules/a/b.png", "venv/lib/a.png"]
)
def test_a_system_s_own_folders_are_no_classes(tmp_path, name):
    """What NAS boxes, disks and package managers leave, and a virtual environment, is no class, with images or without."""
    root = folder(tmp_path, CLASSES | {name: encoded()})
    (root / name.split("/")[0] / "pyvenv.cfg").touch() if name.startswith("venv") else None
    assert read_chips(root).classes == ("cat", "dog")


def test_results_inside_the_data_are_no_classes(tmp_path):
    """--data .: neither the run's own results folder nor older studies with their figures are read, wherever they lie."""
    study = json.dumps({"schema": 1, "stage": "lr"}).encode()
    made = {
        "results/lr/a/study.json": study,
        "results/lr/a/figures/losses.png": encoded(),
        "results/all/c/chain.json": b"{}",
    }
    root = folder(tmp_path / "a", CLASSES | made)
    chips = read_chips(root)
    assert chips.classes == ("cat", "dog") and not chips.lacking
    assert chips.notes[0] == "passed over the results of 1 studies: results/lr/a"
    empty = folder(tmp_path / "b", CLASSES | {"mine/lr/.lock": b""})
    assert read_chips(empty, Reading(results=empty / "mine")).lacking == {}
    own = folder(tmp_path / "c", CLASSES | {"cat/study.json": b'{"schema": "of a user"}'})
    assert read_chips(own).counts() == {"cat": 2, "dog": 1}


CROWD = {f"{kind}/{n}.png": encoded(seed=n) for kind in ("cat", "dog") for n in range(12)}


@pytest.mark.parametrize(
    ("files", "skip_bad", "why"),
    [
        ({"fox/1.HEIC": b"x", "fox/2.heic": b"x"}, False, r"'fox' (0: no image among .heic (2))"),
        ({"fox/.keep": b""}, False, "'fox' (0: an empty folder)"),
        ({"fox/1.png": b"x", "fox/2.png": b""}, True, "'fox' (0: none can be read)"),
    ],
)
def test_no_class_vanishes(tmp_path, files, skip_bad, why):
    """A class of other formats, an empty one, one whose images are all broken: an error that names it; a note if dropped."""
    for path in (folder(tmp_path / "a", CROWD | files), zipped(tmp_path / "a.zip", CROWD | files | {"fox/": b""})):
        chips = read_chips(path, Reading(skip_bad=skip_bad))
        with pytest.raises(InputError) as caught:
            prepare(chips, "grouped")
        assert f"in class {why}; add chips, or leave such classes out with --drop-small-classes" in str(caught.value)
        kept = prepare(chips, "grouped", drop_small_classes=True)
        assert kept.chips.classes == ("cat", "dog")
        assert any("'fox' (0" in note for note in kept.notes)


def test_what_skip_bad_cannot_help_is_not_advised(tmp_path):
    """Where every image is broken, or the whole zip needs a password, the error does not say --skip-bad."""
    files = {f"{kind}/{n}.png": b"x" for kind in ("cat", "dog") for n in range(3)}
    for path in (folder(tmp_path / "a", files), zipped(tmp_path / "a.zip", files)):
        with pytest.raises(InputError, match="none of the 6 images can be read; the first: ") as caught:
            read_chips(path)
        assert "--skip-bad" not in str(caught.value)
    locked = zipped(tmp_path / "b.zip", CLASSES)
    content = bytearray(locked.read_bytes())
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):  # set the flag "encrypted" of every member
        place = -1
        while (place := content.find(mark, place + 1)) >= 0:
            content[place + at] |= 1
    locked.write_bytes(content)
    with pytest.raises(InputError, match="every file in it needs a password; unpack it") as caught:
        read_chips(locked)
    assert "--skip-bad" not in str(caught.value)


def test_two_thousand_names_are_five_and_a_number(tmp_path):
    """Unreadable images are listed by five names and the number of the others; study.json gets them all."""
    files = CLASSES | {f"cat/bad{n:04}.png": b"" for n in range(2000)}
    chips = read_chips(folder(tmp_path, files), Reading(skip_bad=True))
    assert len(chips.skipped) == 2000
    assert chips.notes[0].endswith("cat/bad0004.png and 1995 more") and len(chips.notes[0]) < 200


def test_pointers_are_named_as_what_they_are(tmp_path):
    """A file of Git LFS or git-annex that was never fetched is no damaged image: the line says what to type."""
    lfs = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"
    for content, said in ((lfs, "git lfs pull"), (b"/annex/objects/SHA256E-s1--00.png\n", "git annex get")):
        with pytest.raises(InputError, match=rf"cat/3.png: a pointer of .*{said}"):
            read_chips(folder(tmp_path, CLASSES | {"cat/3.png": content}))
    (tmp_path / "set.zip").write_bytes(lfs)
    with pytest.raises(InputError, match=r"not a readable zip file .*git lfs pull"):
        read_chips(tmp_path / "set.zip")


def test_a_large_bystander_is_passed_over(tmp_path):
    """An archive of 9 GB beside the images counts against no limit; an image of 9 GB does."""
    root = folder(tmp_path, CLASSES | {"all.tar": b"", "cat/README": b""})
    with open(root / "all.tar", "r+b") as file:
        file.truncate(9 * 2**30)
    assert len(read_chips(root)) == 3
    with open(root / "cat" / "huge.png", "wb") as file:
        file.truncate(9 * 2**30)
    with pytest.raises(InputError, match=r"cat/huge.png: would take 9 GiB"):
        read_chips(root)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16", "I", "F"])
def test_every_pixel_mode_becomes_three_bytes(mode):
    """Bilevel, palette, alpha, CMYK, 16-bit, 32-bit and float images decode to (75, 75, 3) bytes that are not blank."""
    ramp = np.linspace(0, 1, 40 * 50).reshape(40, 50)
    if mode in ("I;16", "I", "F"):
        scale = {"I;16": 65535, "I": 60000, "F": 3.5}[mode]
        image = Image.fromarray((ramp * scale).astype({"I;16": np.uint16, "I": np.int32, "F": np.float32}[mode]))
    else:
        image = Image.fromarray((ramp * 255).astype(np.uint8)).convert(mode)
    file = io.BytesIO()
    image.save(file, "TIFF")
    pixels = decode_image(file.getvalue())
    assert pixels.shape == (75, 75, 3)
    assert pixels.dtype == np.uint8
    assert int(pixels[-1].mean()) - int(pixels[0].mean()) > 100 or mode == "CMYK"


def test_a_resize_keeps_the_picture():
    """A 75 x 75 image is read unchanged; a picture twice as large comes back as its antialiased half."""
    pixels = np.random.default_rng(0).integers(0, 256, (75, 75, 3), dtype=np.uint8)
    for array in (pixels, pixels.repeat(2, 0).repeat(2, 1)):
        file = io.BytesIO()
        Image.fromarray(array).save(file, "PNG")
        assert np.abs(decode_image(file.getvalue()).astype(int) - pixels).mean() < (1 if array is pixels else 30)
    assert np.array_equal(decode_image(encoded((75, 75))), np.asarray(Image.open(io.BytesIO(encoded((75, 75))))))


def npz(path, **arrays):
    np.savez(path, **arrays)
    return path


def test_npz_labels_read_alike_as_numbers_column_and_one_hot(tmp_path):
    """Y as (N,), (N, 1) and one-hot give the same labels; float and byte images keep their values."""
    images = np.random.default_rng(0).integers(0, 256, (6, 75, 75, 3), dtype=np.uint8)
    labels = np.array([0, 1, 1, 0, 1, 0])
    for number, y in enumerate((labels, labels[:, None].astype(float), np.eye(2)[labels])):
        chips = read_chips(npz(tmp_path / f"{number}.npz", X_train=images, Y_train=y))
        assert np.array_equal(chips.labels, labels)
        assert np.array_equal(chips.images, images)
    floats = read_chips(npz(tmp_path / "f.npz", X_train=images / 255 - 0.5, Y_train=labels))
    assert floats.images.dtype == np.float32
    assert np.allclose(floats.images, images / 255 - 0.5, atol=1e-6)


def test_images_are_read_at_the_side_that_is_asked(tmp_path):
    """Files and arrays are resized to it from what they hold, not from 75 pixels; a Statoil record stays what it is."""
    files = {f"{name}/1.png": encoded((180, 180), seed=seed) for seed, name in enumerate(("cat", "dog"))}
    found = read_chips(folder(tmp_path / "f", files), Reading(side=90)).images
    assert found.shape == (2, 90, 90, 3)
    whole = np.stack([np.asarray(Image.open(io.BytesIO(content))) for content in files.values()])
    arrays = read_chips(npz(tmp_path / "a.npz", X_train=whole, Y_train=np.arange(2)), Reading(side=90)).images
    assert np.abs(arrays.astype(int) - found).max() <= 1
    means = whole.reshape(2, 90, 2, 90, 2, 3).mean((2, 4))
    assert np.corrcoef(found.ravel(), means.ravel())[0, 1] > 0.9
    (tmp_path / "train.json").write_text(json.dumps([RECORD | {"is_iceberg": 1}]))
    assert read_chips(tmp_path / "train.json", Reading(side=90)).images.shape == (1, 75, 75, 3)


def test_npz_labels_keep_their_names(tmp_path):
    """Labels 1000001 and 1000002 are two classes, and 0.5 keeps its name."""
    images = np.zeros((3, 75, 75, 3))
    chips = read_chips(npz(tmp_path / "l.npz", X_train=images, Y_train=np.array([1000001, 1000002, 0.5])))
    assert chips.classes == ("0.5", "1000001", "1000002")


@pytest.mark.parametrize("kind", ["U", "S"])
def test_npz_labels_as_text_are_class_names(tmp_path, kind):
    """Labels of text, of letters or bytes, (N,) or (N, 1), are the classes' names."""
    names = np.array(["ship", "iceberg", "ship"]).astype(kind)
    for number, labels in enumerate((names, names[:, None])):
        chips = read_chips(npz(tmp_path / f"{number}.npz", X_train=np.zeros((3, 75, 75, 3)), Y_train=labels))
        assert chips.classes == ("iceberg", "ship")
        assert chips.labels.tolist() == [1, 0, 1]


def test_statoil_records_are_rendered_as_the_report_saw_them(tmp_path):
    """R = HH, G = HV, B = HH + HV, each (x - mean) / (max - min); is_iceberg 1 is an iceberg; zips and lists alike."""
    records = [RECORD | {"is_iceberg": 1}, RECORD | {"is_iceberg": 0}, RECORD]
    (tmp_path / "train.json").write_text(json.dumps(records))
    chips = read_chips(tmp_path / "train.json")
    hh, hv = (np.array(RECORD[name]).reshape(75, 75) for name in ("band_1", "band_2"))
    for channel, band in enumerate((hh, hv, hh + hv)):
        assert np.allclose(chips.images[0, ..., channel], (band - band.mean()) / (band.max() - band.min()), atol=1e-6)
    assert [chips.classes[label] for label in chips.labels] == ["iceberg", "ship"]
    assert chips.notes == ("left out 1 records without is_iceberg",)
    many = zipped(tmp_path / "r.zip", {f"{n}.json": json.dumps(record) for n, record in enumerate(records)})
    assert np.array_equal(read_chips(many).images, chips.images)


def test_real_records_render_to_the_real_chips(shared_data):
    """Raw Statoil records give, to a grey level, the RGB chips that others made of the same positions."""
    ours = read_chips(shared_data / "statoil_json_records" / "records.zip").images
    with zipfile.ZipFile(shared_data / "statoil_chips" / "chips.zip") as archive:
        # the records stand at positions 0 (a ship), 10 and 35 (icebergs); chips are numbered from 1
        for index, name in enumerate(("ship/0_1.png", "iceberg/1_11.png", "iceberg/1_36.png")):
            theirs = np.asarray(Image.open(io.BytesIO(archive.read(name))).convert("RGB")).astype(float)
            assert np.abs((ours[index] + 1) * 100 - theirs).max() <= 1.01


@pytest.mark.parametrize(
    ("name", "count", "classes"),
    [("att_faces/att_faces.zip", 400, 40), ("opensarship_8scenes/chips_uint8.zip", 522, 7)],
)
def test_real_sets_are_read_whole(shared_data, name, count, classes):
    """PGM faces and TIFF ship chips are read with all their images and classes."""
    chips = read_chips(shared_data / name)
    assert (len(chips), len(chips.classes)) == (count, classes)


def broken_cases(root):
    half = encoded(seed=3)[:200]
    linked = folder(root / "linked", CLASSES)
    (linked / "fox").symlink_to(linked)
    lost = folder(root / "lost", CLASSES)
    (lost / "dog" / "gone.png").symlink_to("nowhere.png")
    endless = folder(root / "endless", CLASSES)
    (endless / "dog" / "self").symlink_to("self")
    images = np.zeros((4, 75, 75, 3))
    nan = images.copy()
    nan[2, 0, 0, 0] = np.nan
    text = lambda name, content: (root / name).write_text(content) and root / name  # noqa: E731
    record = lambda **change: json.dumps([RECORD | {"is_iceberg": 1} | change])  # noqa: E731
    return {
        "missing": (root / "nowhere", "no such file or folder"),
        "empty": (folder(root / "empty", {"x/a.heic": b""}), r"no images found among .heic \(1\); expected"),
        "wrong kind": (text("a.tar", "x"), "not a kind of data"),
        "no class folder": (
            folder(root / "flat", {"1.png": encoded(), "cat/2.png": encoded()}),
            "'1.png' lies in no class",
        ),
        "split names": (
            folder(root / "kaggle", {"train/cat/1.png": encoded(), "test/dog/2.png": encoded()}),
            "test, train look like a split",
        ),
        "link in a loop": (linked, "fox: a link back to a folder that it lies in .*, a loop"),
        "link to itself": (endless, "dog/self: a link that leads back to itself"),
        "lost link": (lost, r"dog/gone.png: a link that leads nowhere \(nowhere.png\)"),
        "truncated": (folder(root / "cut", CLASSES | {"cat/3.png": half}), r"cat/3.png: unreadable.*--skip-bad"),
        "not an image": (folder(root / "lie", CLASSES | {"dog/3.png": b"hello"}), r"dog/3.png: unreadable"),
        "no zip": (text("n.zip", "PK nothing"), "not a readable zip"),
        "zip escape": (
            zipped(root / "e.zip", CLASSES | {"../../evil.png": encoded()}),
            r"'../../evil.png' points outside",
        ),
        "zip absolute": (zipped(root / "f.zip", {"/etc/evil.png": encoded()}), r"'/etc/evil.png' points outside"),
        "no npz": (text("n.npz", "x"), "not a readable npz"),
        "npz without labels": (npz(root / "1.npz", X_train=images), "no array Y_train; it holds X_train"),
        "npz mismatch": (npz(root / "2.npz", X_train=images, Y_train=np.zeros(3)), "4 images, Y_train 3 labels"),
        "npz shape": (
            npz(root / "3.npz", X_train=np.zeros((4, 75)), Y_train=np.zeros(4)),
            r"X_train has shape \(4, 75\)",
        ),
        "npz NaN": (npz(root / "4.npz", X_train=nan, Y_train=np.zeros(4)), r"X_train\[2\] has NaN"),
        "npz pickle": (
            npz(root / "5.npz", X_train=images, Y_train=np.array([{}] * 4)),
            r"Python objects; save .*astype\(str",
        ),
        "npz channels first": (
            npz(root / "7.npz", X_train=np.zeros((4, 3, 9, 9)), Y_train=np.zeros(4)),
            r"channels first; save X_train.transpose\(0, 2, 3, 1\)",
        ),
        "npz not one-hot": (npz(root / "6.npz", X_train=images, Y_train=np.ones((4, 2))), "not one-hot"),
        "json syntax": (text("a.json", "[{"), "not valid JSON"),
        "json length": (
            text("b.json", record(band_1=[1.0] * 5624)),
            r"record 0: band_1 has 5624 values; expected 5625",
        ),
        "json text": (text("c.json", record(band_2=["x"] * 5625)), "band_2 holds something that is not a number"),
        "json NaN": (text("d.json", record(band_2=[float("nan")] * 5625)), "band_2 holds NaN"),
        "json huge": (text("h.json", record(band_2=[1e308] * 5625)), "absurdly large values"),
        "json endless": (text("i.json", record(band_2=[10**400] * 5625)), "not a number"),
        "json label": (text("e.json", record(is_iceberg="yes")), "is_iceberg is 'yes'"),
        "json no label": (text("f.json", json.dumps([RECORD])), "no labelled record"),
        "json no record": (text("g.json", "[1, 2]"), "record 0 is not an object"),
    }


CASES = [
    "missing",
    "empty",
    "wrong kind",
    "no class folder",
    "split names",
    "link in a loop",
    "link to itself",
    "lost link",
    "truncated",
    "not an image",
    "no zip",
    "zip escape",
    "zip absolute",
    "no npz",
    "npz without labels",
    "npz mismatch",
    "npz shape",
    "npz NaN",
    "npz pickle",
    "npz channels first",
    "npz not one-hot",
    "json syntax",
    "json length",
    "json text",
    "json NaN",
    "json huge",
    "json endless",
    "json label",
    "json no label",
    "json no record",
]


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    return broken_cases(tmp_path_factory.mktemp("broken"))


@pytest.mark.parametrize("case", CASES)
def test_unusable_data_is_one_clear_line(broken, case):
    """Every kind of unusable data raises an InputError of one line that names the place and what is wrong."""
    path, said = broken[case]
    with pytest.raises(InputError, match=said) as caught:
        read_chips(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_every_broken_case_is_tested(broken):
    """The list of names above is the list of cases."""
    assert sorted(broken) == sorted(CASES)


def test_bad_images_can_be_skipped_and_are_listed(tmp_path):
    """skip_bad reads the rest and names the skipped files, where something can be read."""
    files = CLASSES | {"cat/bad.png": b"", "fox/1.png": gzip.compress(b"x")}
    chips = read_chips(folder(tmp_path, files), Reading(skip_bad=True))
    assert chips.counts() == {"cat": 2, "dog": 1}
    assert chips.notes == ("skipped 2 unreadable images: cat/bad.png, fox/1.png",)
    assert chips.names == ("cat/1.png", "cat/2.jpg", "dog/x.bmp")
    with pytest.raises(InputError, match="none of the 1 images can be read"):
        read_chips(folder(tmp_path / "all", {"fox/1.png": b"x"}), Reading(skip_bad=True))


def test_progress_counts_every_image(tmp_path):
    """The callback hears each image once, up to the total."""
    heard = []
    read_chips(folder(tmp_path, CLASSES), progress=lambda done, total: heard.append((done, total)))
    assert heard == [(1, 3), (2, 3), (3, 3)]
