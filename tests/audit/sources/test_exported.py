"""Exported networks and nnU-Net's plans as tables."""

import json
import random
import shutil
import warnings
from zipfile import ZIP_DEFLATED, ZipFile

import commands
import numpy as np
import pytest
import torch
from places import GOLDEN
from torch import nn
from torch_pairs import Net, count

import audit
import unetzoo
from audit.comparison.forms import is_conv

FOLDERS = sorted((GOLDEN / "nnunet").glob("*/nnUNet*"))


def exported(net, path, **more):
    with warnings.catch_warnings(action="ignore"):
        torch.onnx.export(net, torch.zeros(1, 1, 32, 32), path, dynamo=False, **more)
    return path


@pytest.fixture
def net():
    """Its norms' numbers differ: the exporter joins equal ones."""
    torch.manual_seed(0)
    net = Net(norm=nn.BatchNorm2d, up_kernel=3)
    for tensor in [*net.parameters(), *net.buffers()]:
        if tensor.dtype == torch.float32:
            nn.init.uniform_(tensor, 0.5, 1)
    return net


def test_an_onnx_file_has_the_networks_rows(net, tmp_path):
    path = exported(net.train(), tmp_path / "a.onnx", training=torch.onnx.TrainingMode.TRAINING)
    table = audit.table(path)
    statistics = sum(b.numel() for b in net.buffers() if b.ndim)
    assert (table.without_moving, table.total) == (count(net), count(net) + statistics)
    modules = dict(net.named_modules())
    convolutions = [row for row in table if is_conv(row)]
    for row in convolutions:
        module = modules[row.name.replace("-", ".")]
        assert row.without_moving == count(module)
        assert row.shape[-1] == module.out_channels
        assert row.settings["kernel_size"] == module.kernel_size
        assert row.settings["in_channels"] == module.in_channels
    assert len(convolutions) == sum(
        isinstance(m, nn.Conv2d | nn.ConvTranspose2d) for m in modules.values()
    )
    assert convolutions[0].shape == (None, 32, 32, 8)
    joined = next(row for row in table if row.layer_class == "Concatenate")
    assert len(joined.inputs) == 2
    torch.save(net.state_dict(), tmp_path / "a.pth")
    assert audit.diff(table, tmp_path / "a.pth").same


def test_a_weight_of_two_nodes_is_counted_once(tmp_path):
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(1, 1, 3, padding=1)

        def forward(self, x):
            return self.conv(torch.relu(self.conv(x)))

    net = Tied()
    table = audit.table(exported(net, tmp_path / "tied.onnx"))
    assert table.total == count(net)
    assert table.repairs == ("2 weights of several nodes counted once",)


@pytest.fixture(scope="module")
def zoo_files(tmp_path_factory):
    """A network of the zoo whose weights are no zeros, which converters leave out."""
    folder = tmp_path_factory.mktemp("exported")
    model = unetzoo.build("unet2d_small", norm=None)
    rng = np.random.default_rng(0)
    for variable in model.weights:
        variable.assign(rng.normal(size=variable.shape))
    with warnings.catch_warnings(action="ignore"):
        model.export(folder / "zoo.onnx", format="onnx", verbose=False)
        model.export(folder / "zoo.tflite", format="litert", verbose=False)
    return folder


@pytest.mark.parametrize("file", ["zoo.onnx", "zoo.tflite"])
def test_an_export_of_keras_has_its_convolutions_channels_last(zoo_files, file):
    pytest.importorskip("tf2onnx")
    table = audit.table(zoo_files / file)
    ours = audit.table(unetzoo.skeleton("unet2d_small", norm=None))
    kernels = [(row.total, row.shape[-1]) for row in ours if is_conv(row)]
    found = [row for row in table if is_conv(row)]
    if file == "zoo.onnx":
        assert [(row.total, row.shape[-1]) for row in found] == kernels
    assert table.total == ours.total
    assert [row.shape[-1] for row in found] == [width for _, width in kernels]
    assert found[0].shape == (None, 128, 128, 4)
    pooled = next(row for row in table if row.layer_class == "MaxPooling2D")
    assert pooled.shape == (None, 64, 64, 4)
    assert [row.settings["kernel_size"] for row in found if row.total][:1] == [(3, 3)]


def test_an_operation_whose_name_is_no_text(net, tmp_path):
    path = exported(net, tmp_path / "a.onnx")
    content = path.read_bytes()
    path.write_bytes(content.replace(b"MaxPool", b"Max\xffool"))
    with pytest.raises(ValueError, match=r"a.onnx: it is damaged \(a name in it is no text\)"):
        audit.table(path)
    path.write_bytes(content.replace(b"Relu", b"R\xfflu"))
    with pytest.raises(ValueError, match="damaged"):
        audit.table(path)


@pytest.mark.parametrize("file", ["zoo.onnx", "zoo.tflite"])
def test_a_damaged_file_is_one_sentence(zoo_files, file, tmp_path):
    """Bytes changed at random, cut files, other files."""
    data = bytearray((zoo_files / file).read_bytes())
    rng = random.Random(0)
    spoiled = [b"", b"TFL3", bytes(data[:200]), bytes(data[: len(data) // 2]), rng.randbytes(4000)]
    for _ in range(60):
        changed = bytearray(data)
        for _ in range(rng.randrange(1, 30)):
            near = rng.choice((200, 5_000, len(changed)))
            changed[rng.randrange(min(near, len(changed)))] = rng.randrange(256)
        spoiled.append(bytes(changed))
    path = tmp_path / file
    refused = 0
    for content in spoiled:
        path.write_bytes(content)
        sentence = ""
        try:
            audit.table(path)
        except ValueError as error:
            sentence = str(error)
        refused += sentence.startswith(str(path))
        assert "\n" not in sentence
    assert refused >= 5


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_trained_folder_is_the_network_in_its_checkpoint(folder):
    table = audit.table(folder)
    checkpoint = next(folder.glob("fold_*/checkpoint_final.pth"))
    diff = audit.diff(table, checkpoint)
    assert diff.same, str(diff)
    assert table.total == audit.table(checkpoint).total
    assert table.name == folder.name.rpartition("__")[-1]
    assert table.repairs == ()
    kinds = {row.layer_class for row in table if is_conv(row)}
    assert kinds == ({"Conv2D", "Conv2DTranspose"} if "2d" in folder.name.split("__")
                     else {"Conv3D", "Conv3DTranspose"})  # fmt: skip


def test_plans_alone_say_what_is_assumed(tmp_path):
    (folder,) = [folder for folder in FOLDERS if "ResEnc" in folder.name]
    shutil.copy(folder / "plans.json", tmp_path / "nnUNetPlans.json")
    table = audit.table(tmp_path / "nnUNetPlans.json")
    assert table.repairs[0] == "configuration 3d_fullres taken, of 2d, 3d_fullres"
    assert table.repairs[1].startswith("2 classes assumed: only dataset.json")
    assert next(iter(table)).shape[-1] == 2  # the channels whose intensities it describes


@pytest.mark.parametrize("norm", [None, "torch.nn.modules.batchnorm.BatchNorm3d"])
def test_plans_with_other_norms_have_the_count_of_nnunets_own_network(tmp_path, norm):
    classes = pytest.importorskip("dynamic_network_architectures.architectures.unet")
    (folder,) = [f for f in FOLDERS if f.name == "nnUNetTrainer__nnUNetPlans__3d_fullres"]
    plans = json.loads((folder / "plans.json").read_text())
    arguments = plans["configurations"]["3d_fullres"]["architecture"]["arch_kwargs"]
    arguments["norm_op"] = norm
    (tmp_path / "plans.json").write_text(json.dumps(plans))
    shutil.copy(folder / "dataset.json", tmp_path)
    theirs = classes.PlainConvUNet(
        1, conv_op=nn.Conv3d, num_classes=3, nonlin=nn.LeakyReLU, deep_supervision=True,
        norm_op=norm and nn.BatchNorm3d,
        **{k: v for k, v in arguments.items()
           if not k.endswith("_op") and not k.startswith("nonlin")},
    )  # fmt: skip
    assert audit.table(tmp_path / "plans.json").without_moving == count(theirs)


def test_what_are_no_plans_is_one_sentence(tmp_path):
    plans = json.loads((FOLDERS[0] / "plans.json").read_text())
    for spoiled in ([], {"configurations": {}}, {"configurations": {"a": 5}}, {**plans, "x": 1}):
        if isinstance(spoiled, dict) and "x" in spoiled:
            spoiled["configurations"]["3d_fullres"]["patch_size"] = "large"
        (tmp_path / "plans.json").write_text(json.dumps(spoiled))
        with pytest.raises(ValueError, match=r"plans\.json") as failure:
            audit.table(tmp_path / "plans.json")
        assert "\n" not in str(failure.value)


def test_a_fault_of_dataset_json_names_that_file_alone(tmp_path):
    shutil.copy(FOLDERS[0] / "plans.json", tmp_path)
    (tmp_path / "dataset.json").write_text("[" * 200_000)
    with pytest.raises(ValueError, match=r"dataset\.json: lists nested too deeply; exp") as failure:
        audit.table(tmp_path / "plans.json")
    assert "plans.json" not in str(failure.value)


def test_a_zip_or_plans_are_looked_at_before_keras_is_loaded(tmp_path):
    with ZipFile(tmp_path / "bomb.zip", "w", ZIP_DEFLATED) as archive:
        archive.writestr("D/T__P__3d_fullres/dataset.json", "{}")
        archive.writestr("D/T__P__3d_fullres/plans.json", bytes(65 * 2**20))
    (tmp_path / "plans.json").write_text("[" * 200_000)
    for name, fault in (("bomb.zip", "has 68,157,440 bytes; exp"), ("plans.json", "too deeply")):
        code, heavy, out, said = commands.started("audit", "table", tmp_path / name)
        assert (code, heavy, out) == (2, [], "")
        assert fault in said


def test_the_command_reads_each(zoo_files):
    for path in (zoo_files / "zoo.onnx", zoo_files / "zoo.tflite", FOLDERS[0]):
        done = commands.command("unetzoo-audit", "table", path)
        assert done.returncode == 0, done.stderr
        assert "parameters" in done.stdout.splitlines()[-1]
    bad = commands.command("unetzoo-audit", "table", "nowhere.tflite")
    assert (bad.returncode, bad.stdout) == (2, "")
    assert "nowhere.tflite: there is no such file" in bad.stderr
