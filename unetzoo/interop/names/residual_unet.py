"""``residual_unet`` is nnU-Net's ``ResidualEncoderUNet``, named like its ``PlainConvUNet``.

Source: dynamic-network-architectures 0.4.4.
"""

from unetzoo.interop.names.plain_unet import TABLES as TABLES
