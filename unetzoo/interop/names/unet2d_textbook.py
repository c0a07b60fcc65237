"""``unet2d_textbook`` with ``upsampling="transposed"`` is milesial's U-Net, ``bilinear=False``.

Source: milesial/Pytorch-UNet, ``unet/unet_parts.py`` and ``unet/unet_model.py``. Ours has no
biases before norms; weights of its versions that have them are refused, the biases as left over.
Its bilinear form is another network: the first convolution of a level up is wider.
"""

from unetzoo.interop.names.table import Names

MILESIAL = Names(
    "milesial's Pytorch-UNet",
    {
        "double_conv-conv1": "inc.double_conv.0",
        "double_conv-norm1": "inc.double_conv.1",
        "double_conv-conv2": "inc.double_conv.3",
        "double_conv-norm2": "inc.double_conv.4",
        "down{n}-double_conv-conv1": "down{n}.maxpool_conv.1.double_conv.0",
        "down{n}-double_conv-norm1": "down{n}.maxpool_conv.1.double_conv.1",
        "down{n}-double_conv-conv2": "down{n}.maxpool_conv.1.double_conv.3",
        "down{n}-double_conv-norm2": "down{n}.maxpool_conv.1.double_conv.4",
        "up{n}-up": "up{n}.up",
        "up{n}-double_conv-conv1": "up{n}.conv.double_conv.0",
        "up{n}-double_conv-norm1": "up{n}.conv.double_conv.1",
        "up{n}-double_conv-conv2": "up{n}.conv.double_conv.3",
        "up{n}-double_conv-norm2": "up{n}.conv.double_conv.4",
        "out-conv": "outc.conv",
    },
    note='build it with upsampling="transposed", as milesial\'s with bilinear=False',
)
TABLES = (MILESIAL,)
