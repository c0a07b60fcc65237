"""What may be chosen by name; nothing is imported, so that the command line starts at once."""

PLANNED = ("plain_unet", "residual_unet")  # the networks that a plan can be made for
CONFIGURATIONS = ("2d", "3d_fullres", "3d_lowres")  # of a plan, in the order they are shown
RATES = {"adam": 1e-4, "sgd": 1e-2}  # the optimizers, with the learning rate of each
SCHEDULES = ("constant", "poly", "cosine", "step")
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
MODELS = ("best", "last")  # of a run
TFDS = "tfds:"  # before the name of a data set of TensorFlow Datasets
LAST_SEED = 2**32 - 1  # of keras.utils.set_random_seed
