"""Names that a user can choose from; imports nothing, so that the command line starts at once."""

PLANNED = ("plain_unet", "residual_unet")  # the networks that can be planned
CONFIGURATIONS = ("2d", "3d_fullres", "3d_lowres")  # of a plan, in the order shown
CASCADE, LOWRES = "3d_cascade_fullres", "3d_lowres"  # 3d_fullres after 3d_lowres, and that
RATES = {"adam": 1e-4, "sgd": 1e-2}  # each optimizer with its learning rate
SCHEDULES = ("constant", "poly", "cosine", "step")
LOSSES = (
    "dice_ce", "dice", "ce", "topk", "dice_topk", "focal", "dice_focal", "tversky",
    "focal_tversky", "generalized_dice",
)  # fmt: skip
REMAT = ("full", "activations")  # which maps a training step computes again
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
EXPORTS = ("onnx", "openvino", "litert", "saved_model", "keras", "nnunet", "bioimageio")
MASKS = (  # formats of masks of volumes
    "nii.gz", "nii", "nrrd", "mha", "gipl.gz", "tif", "ome.tif", "ome.zarr", "h5", "dicom-seg"
)  # fmt: skip
NORMALIZATIONS = ("zscore", "CT", "noNorm", "rescale_to_0_1", "rgb_to_0_1")  # of a channel
MODELS = ("best", "last")  # of a run
TFDS = "tfds:"  # prefix of a data set in TensorFlow Datasets
LAST_SEED = 2**32 - 1  # that keras.utils.set_random_seed takes
GEOMETRIES = ("header", "image")  # what says where labels lie
