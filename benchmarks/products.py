"""The gradient of a convolution's kernel: sums of products against oneDNN's own, on TensorFlow.

    python benchmarks/products.py [avx2]

Layers of the published networks with a batch of 1 and kernels of 3; both ways in turns in one
process, the best of seven. "used" says whether unetzoo takes products there (without AVX-512 only).
"""

import os
import sys
import time

from machine import NARROW, heading

LAYERS = (  # network, sizes of the map that comes in, channels, filters, padding
    ("unet3d_19m", (48, 48, 48), 192, 64, "same"),
    ("unet3d_19m", (48, 48, 48), 64, 64, "same"),
    ("unet3d_19m", (48, 48, 48), 32, 64, "same"),
    ("unet3d_19m", (24, 24, 24), 384, 128, "same"),
    ("unet3d_19m", (12, 12, 12), 768, 256, "same"),
    ("plain_unet", (64, 64, 64), 64, 32, "same"),
    ("plain_unet", (64, 64, 64), 32, 32, "same"),
    ("plain_unet", (32, 32, 32), 128, 64, "same"),
    ("unet2d_original", (570, 570), 64, 64, "valid"),
    ("unet2d_original", (200, 200), 256, 128, "valid"),
    ("unet2d_original", (68, 68), 512, 512, "valid"),
    ("unet2d_original", (30, 30), 1024, 1024, "valid"),
)


def onednn_s(x, dy, shape, padding):
    import tensorflow as tf

    flat = len(shape) == 4
    if flat:  # as a volume that is one voxel deep
        x, dy, shape = tf.expand_dims(x, 1), tf.expand_dims(dy, 1), (1, *shape)
    found = tf.raw_ops.Conv3DBackpropFilterV2(
        input=x, filter_sizes=shape, out_backprop=dy, strides=(1,) * 5, padding=padding
    )
    return tf.squeeze(found, 0) if flat else found


def compared(sizes, channels, filters, padding):
    """The best seconds of oneDNN and of products, and whether products are used."""
    import keras
    import tensorflow as tf

    from unetzoo.layers.products import kernel_gradient, pays

    kind = {2: keras.layers.Conv2D, 3: keras.layers.Conv3D}[len(sizes)]
    layer = kind(filters, 3, padding=padding)
    x = tf.random.normal((1, *sizes, channels))
    layer.build(x.shape)
    dy = tf.random.normal(layer.compute_output_shape(x.shape))
    shape = (*layer.kernel_size, channels, filters)
    ways = [
        tf.function(lambda x, dy, way=way: way(x, dy, shape, padding.upper()))
        for way in (onednn_s, kernel_gradient)
    ]
    seconds = [[], []]
    for _ in range(8):
        for way, found in zip(ways, seconds, strict=True):
            began = time.perf_counter()
            way(x, dy).numpy()
            found.append(time.perf_counter() - began)
    return *(min(found[1:]) for found in seconds), pays(layer, x)


def main(*words):
    os.environ.update(NARROW if "avx2" in words else {})
    os.environ["KERAS_BACKEND"] = "tensorflow"
    print(heading("keras", "tensorflow"), end="\n\n")
    print("| layer of | map | channels, filters | oneDNN, ms | products, ms | ratio | used |")
    print("|---|---|---|---:|---:|---:|---|")
    for name, sizes, channels, filters, padding in LAYERS:
        own, ours, used = compared(sizes, channels, filters, padding)
        print(
            f"| `{name}` | {' x '.join(map(str, sizes))} | {channels}, {filters} | {own * 1e3:.0f} "
            f"| {ours * 1e3:.0f} | {ours / own:.2f} | {'yes' if used else 'no'} |",
            flush=True,
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
