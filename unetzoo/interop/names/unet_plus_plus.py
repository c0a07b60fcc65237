"""``unet_plus_plus`` with ``norm="instance"`` is MONAI's ``BasicUNetPlusPlus``.

That is so where MONAI's first two widths are equal, and each later one is twice the one before;
MONAI's up-convolutions have other widths elsewhere. The nonlinearity is the builder's to choose.

Source: MONAI 1.6.1, ``monai/networks/nets/basic_unetplusplus.py``.
"""

from unetzoo.interop.names.table import Names

MONAI = Names(
    "MONAI's BasicUNetPlusPlus",
    {
        "node-0-0-conv{m}": "conv_0_0.conv_{m-1}.conv",
        "node-0-0-norm{m}": "conv_0_0.conv_{m-1}.adn.N",
        "node-{i}-0-conv{m}": "conv_{i}_0.convs.conv_{m-1}.conv",
        "node-{i}-0-norm{m}": "conv_{i}_0.convs.conv_{m-1}.adn.N",
        "up-{i}-{j}": "upcat_{i}_{j}.upsample.deconv",
        "node-{i}-{j}-conv{m}": "upcat_{i}_{j}.convs.conv_{m-1}.conv",
        "node-{i}-{j}-norm{m}": "upcat_{i}_{j}.convs.conv_{m-1}.adn.N",
        "head-{j}": "final_conv_0_{j}",
    },
    below_last={"node-{i}-{j}-conv1": "up-{i}-{j}"},
    unused=(r"final_conv_0_\d\..*",),
    note='build it with norm="instance" and features whose first two are equal',
)
TABLES = (MONAI,)
