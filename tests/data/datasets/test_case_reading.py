"""Cases read and written through one door, volumes against nibabel and pictures against Pillow."""

import nibabel
import numpy as np
import pytest
from PIL import Image
from volume_files import AFFINE, MOVE, save

from unetzoo.data.datasets import Case, find_dataset
from unetzoo.data.datasets.reading import (
    file_ending,
    read_case,
    read_case_labels,
    read_case_weight,
    write_case_labels,
)
from unetzoo.data.labels import LabelScheme
from unetzoo.data.preprocessing.survey import Survey, verify_dataset
from unetzoo.evaluation.results import evaluate_files
from unetzoo.utils.console import as_options
from unetzoo.utils.text import counted

FLIPPED = np.diag([-1, 2, 3, 1.0])  # to the left first: not canonical
SCHEME = LabelScheme(labels={0: 0, 2: 1, 4: 2})


def nifti(path, array, affine=FLIPPED):
    nibabel.save(nibabel.Nifti1Image(np.asarray(array), affine), path)
    return path


def tiff(path, array):
    Image.fromarray(np.asarray(array)).save(path)
    return path


class Kind:
    """How a kind of file is written, its shape, and how it lies on canonical axes."""

    def __init__(self, write, ending, shape, spacing, turn):
        self.write, self.ending, self.shape = write, ending, shape
        self.spacing, self.turn = spacing, turn

    def numbers(self, seed=0, values=(0, 2, 4), dtype="uint8"):
        return np.random.default_rng(seed).choice(np.array(values, dtype), self.shape)

    def case(self, folder, name="a", *, image=None, label=None, weight=None, channels=1):
        arrays = {f"image{n}": self.numbers(n, range(9)) for n in range(channels)}
        arrays["image0"] = arrays["image0"] if image is None else image
        arrays["label"] = self.numbers() if label is None else label
        arrays |= {} if weight is None else {"weight": weight}
        paths = {
            what: self.write(folder / f"{name}_{what}{self.ending}", array)
            for what, array in arrays.items()
        }
        images = tuple(paths[what] for what in paths if what.startswith("image"))
        return Case(name, images, paths["label"], paths.get("weight"))


VOLUMES = Kind(nifti, ".nii.gz", (4, 5, 6), (1.0, 2.0, 3.0), lambda array: array[::-1])
PICTURES = Kind(tiff, ".tif", (7, 9), (1.0, 1.0), lambda array: array)


@pytest.fixture(params=[VOLUMES, PICTURES], ids=["volumes", "pictures"])
def kind(request):
    return request.param


def check_cases(cases, scheme, **options):
    return Survey().look_through(cases, scheme, **options).counts


def faults(cases, scheme=SCHEME, **options):
    with pytest.raises(ValueError, match=r"faults?:") as error:
        check_cases(cases, scheme, **options)
    first, *lines = str(error.value).split("\n")
    assert first == f"{counted(len(cases), 'case')}, {counted(len(lines), 'fault')}:"
    assert all(line.endswith(".") for line in lines)
    return lines


def test_a_case_is_read_on_canonical_axes(kind, tmp_path):
    weight = kind.numbers(3, (0, 0.5, 1), "float32")
    case = kind.case(tmp_path, channels=2, weight=weight)
    image, labels = read_case(case), read_case_labels(case, SCHEME)
    expected = np.stack([kind.turn(kind.numbers(n, range(9))) for n in range(2)], -1)
    np.testing.assert_array_equal(image.data, expected)
    assert image.data.dtype == "float32"
    assert image.spacing == labels.spacing == kind.spacing
    np.testing.assert_array_equal(labels.data, kind.turn(kind.numbers()) // 2)
    assert labels.data.dtype == "uint8"
    found = read_case_weight(case)
    np.testing.assert_array_equal(found, kind.turn(weight))
    assert found.dtype == "float32"
    assert found.flags.c_contiguous
    assert read_case_weight(Case("a", case.images)) is None


def test_labels_go_out_as_they_came_in(kind, tmp_path):
    case = kind.case(tmp_path)
    image = read_case(case)
    out = tmp_path / f"out{file_ending(case.images[0])}"
    write_case_labels(out, read_case_labels(case, SCHEME).data, image, SCHEME)
    again = Case("a", case.images, out)
    np.testing.assert_array_equal(
        read_case_labels(again, LabelScheme(classes=5)).data,
        read_case_labels(case, LabelScheme(classes=5)).data,
    )
    if kind is VOLUMES:
        np.testing.assert_array_equal(nibabel.load(out).affine, FLIPPED)


def test_a_class_may_be_missing_in_one_case_but_not_in_all(kind, tmp_path):
    cases = [
        kind.case(tmp_path, "a", label=kind.numbers(values=(0, 2))),
        kind.case(tmp_path, "b", label=kind.numbers(values=(0, 1))),
    ]
    assert set(np.unique(read_case_labels(cases[0], LabelScheme()).data)) == {0, 2}
    assert check_cases(cases, LabelScheme()) == {0: 2, 1: 1, 2: 1}
    (line,) = faults(cases[:1], LabelScheme())
    assert "labels [0, 2] are not 0, 1, 2 ... without a gap; give labels={0: 0, 2: 1}" in line


def test_classes_are_counted_and_an_absent_one_is_said(kind, tmp_path):
    cases = [
        kind.case(tmp_path, "a", label=kind.numbers(values=(0, 2, 9))),
        kind.case(tmp_path, "b", label=kind.numbers(values=(0,))),
    ]
    scheme = LabelScheme(labels={0: 0, 2: 1, 4: 2}, ignore=9)
    with pytest.warns(UserWarning, match=r"classes \[2\] occur in none of the 2"):
        assert check_cases(cases, scheme) == {0: 2, 1: 1, 2: 0}


@pytest.mark.filterwarnings("ignore:.* every voxel of channel 0")
def test_all_faults_are_said_at_once(kind, tmp_path):
    wrong = kind.numbers(2, (1, 2), "float32")
    wrong.flat[3:6] = -1, np.nan, np.inf
    cases = [
        kind.case(tmp_path, "good"),
        kind.case(tmp_path, "label", label=kind.numbers(values=(0, 3))),
        kind.case(tmp_path, "shape", label=kind.numbers()[:-1]),
        kind.case(tmp_path, "weight", weight=wrong),
        kind.case(tmp_path, "grid", weight=kind.numbers()[1:]),
        kind.case(tmp_path, "channels", channels=2),
        kind.case(tmp_path, "broken"),
        kind.case(tmp_path, "nan", image=np.full(kind.shape, np.nan, "float32")),
    ]
    cases[-2].images[0].write_bytes(b"no image")
    lines = faults(cases)
    expected = {
        "label_label": "label 3 at",
        "shape_label": "has",
        "weight_weight": "3 of ",
        "grid_weight": "has",
        "channels_image0": "2 channels in case 'channels', but most cases have 1",
        "broken_image0": " not ",
        "nan_image0": "NaN",
    }
    assert len(lines) == len(expected)
    for name, words in expected.items():
        (line,) = [line for line in lines if line.startswith(f"{tmp_path / name}{kind.ending}: ")]
        assert words in line
    assert "negative, NaN or infinite, such as -1; expected finite numbers >= 0." in "".join(lines)
    assert check_cases([cases[0], cases[-1]], SCHEME, fill=0) == {0: 2, 1: 2, 2: 2}


def test_many_faults_of_one_kind_are_counted(tmp_path):
    cases = [
        PICTURES.case(tmp_path, f"{n}", label=PICTURES.numbers(values=(7,))) for n in range(30)
    ]
    with pytest.raises(ValueError, match="30 cases, 30 faults:") as error:
        check_cases(cases, SCHEME)
    first, *others = cases
    names = ", ".join(str(case.label) for case in others[:2])
    text = str(error.value)
    assert text.count("label 7 at") == 1
    assert f"\n{first.label}: label 7 at" in text
    assert text.endswith(f" (and 29 like it: {names}, ...).")


def test_the_grid_of_labels_and_weights_is_looked_at_where_they_are_read(kind, tmp_path):
    case = kind.case(tmp_path, label=kind.numbers()[1:], weight=kind.numbers()[1:])
    with pytest.raises(ValueError, match=r"a_label.* has "):
        read_case_labels(case, SCHEME)
    with pytest.raises(ValueError, match=r"a_weight.* has "):
        read_case_weight(case)


def test_volumes_of_labels_and_weights_have_one_channel(tmp_path):
    case = VOLUMES.case(tmp_path)
    four = nifti(tmp_path / "four.nii.gz", np.zeros((*VOLUMES.shape, 2), "uint8"))
    with pytest.raises(ValueError, match=r"four.nii.gz: 2 volumes; expected one"):
        read_case_labels(Case("a", case.images, four), SCHEME)
    with pytest.raises(ValueError, match=r"four.nii.gz: 2 volumes; expected one"):
        read_case_weight(Case("a", case.images, case.label, four))


def test_progress_wraps_the_cases(kind, tmp_path):
    cases = [
        kind.case(tmp_path, "a", weight=kind.numbers()),
        kind.case(tmp_path, "b"),
        kind.case(tmp_path, "c"),
    ]
    seen = []

    def progress(listed):
        for number, item in enumerate(listed):
            seen.append((number, len(listed)))
            yield item

    assert check_cases(iter(cases), SCHEME, progress=progress) == {0: 3, 1: 3, 2: 3}
    assert seen == [(0, 3), (1, 3), (2, 3)]


def test_what_cannot_be_looked_through(tmp_path):
    volume, picture = VOLUMES.case(tmp_path, "v"), PICTURES.case(tmp_path, "p")
    with pytest.raises(ValueError, match="no cases: expected at least one"):
        check_cases([], SCHEME)
    with pytest.raises(ValueError, match="volumes and pictures in one data set"):
        check_cases([volume, picture], SCHEME)
    with pytest.raises(ValueError, match=r"cases \['v'\] have no labels"):
        check_cases([Case("v", volume.images)], SCHEME)
    with pytest.raises(ValueError, match="case 'v': it has no labels"):
        read_case_labels(Case("v", volume.images), SCHEME)


def test_a_folder_of_black_and_white_masks_from_end_to_end(tmp_path):
    for part, values in (("images", range(200)), ("masks", (0, 255))):
        (tmp_path / part).mkdir()
        for n in range(3):
            array = PICTURES.numbers(n, values)
            Image.fromarray(array).save(tmp_path / part / f"{n}.png")
    found = find_dataset(tmp_path)
    lines = faults(found.cases, found.scheme)
    assert all("labels={0: 0, 255: 1}" in line for line in lines)
    found = find_dataset(tmp_path, labels={0: 0, 255: 1})
    assert check_cases(found.cases, found.scheme) == {0: 3, 1: 3}
    image = read_case(found.cases[0])
    classes = read_case_labels(found.cases[0], found.scheme).data
    write_case_labels(tmp_path / "out.png", classes, image, found.scheme)
    source = np.asarray(Image.open(found.cases[0].label))
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "out.png")), source)


def test_a_data_set_is_verified_by_what_its_description_says(tmp_path):
    for name in ("a", "b"):
        for part in ("images", "masks"):
            (tmp_path / part).mkdir(exist_ok=True)
        png = np.zeros((4, 5), "uint8")
        Image.fromarray(png).save(tmp_path / "images" / f"{name}.png")
        png[0, 0] = 255 if name == "a" else 1
        Image.fromarray(png).save(tmp_path / "masks" / f"{name}.png")
    assert verify_dataset(find_dataset(tmp_path, labels={0: 0, 1: 1, 255: 1})) == {0: 2, 1: 2}
    ignored = find_dataset(tmp_path, classes=2, ignore=255)
    seen = []
    assert verify_dataset(ignored, progress=lambda cases: seen.append(1) or cases) == {0: 2, 1: 1}
    assert seen
    with pytest.raises(
        ValueError, match=r"^2 cases, 1 fault:\n.*a\.png: a black and white mask of 0 and 255"
    ):
        verify_dataset(find_dataset(tmp_path, classes=2))


# === Labels whose headers put them elsewhere ===


@pytest.mark.parametrize(
    "affine", [np.eye(4), np.diag([-1.0, -1, 2, 1]), AFFINE @ np.diag([1, -1, 1, 1])]
)
def test_labels_are_put_where_their_image_is(affine, tmp_path):
    numbers = np.arange(60, dtype="uint8").reshape(3, 4, 5) % 3
    image = save(tmp_path / "image.nii.gz", numbers.astype("int16"))
    wrong = Case("a", (image,), save(tmp_path / "wrong.nii.gz", numbers, affine))
    with pytest.raises(ValueError, match=r"wrong\.nii\.gz: "):
        read_case_labels(wrong, LabelScheme(3))
    right = Case("a", (image,), save(tmp_path / "right.nii.gz", numbers))
    scheme = LabelScheme(3, geometry="image")
    found, expected = (read_case_labels(case, scheme) for case in (wrong, right))
    np.testing.assert_array_equal(found.data, expected.data)
    np.testing.assert_array_equal(found.data, read_case(right).data[..., 0])
    assert found.spacing == expected.spacing == read_case(right).spacing
    scored = evaluate_files([("a", wrong.label, right.label)], scheme).scores["a"]
    assert [(one.dice, one.hd95) for one in scored] == [(1, 0), (1, 0)]
    short = save(tmp_path / "t.nii", numbers.reshape(3, 5, 4))
    with pytest.raises(ValueError, match=r"t\.nii: shape \(3, 5, 4\), but .* \(3, 4, 5\) \(as sto"):
        read_case_labels(Case("a", (image,), short), scheme)


@pytest.mark.parametrize("affine", [AFFINE + MOVE, AFFINE * 1.5, np.eye(4)])
def test_the_way_out_is_named(tmp_path, affine):
    image, label = save(tmp_path / "i.nii"), save(tmp_path / "l.nii", affine=affine)
    with pytest.raises(ValueError, match="give geometry=image") as error:
        read_case_labels(Case("a", (image,), label), LabelScheme(3))
    assert "give --geometry image." in as_options(str(error.value))
