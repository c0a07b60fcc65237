"""``attention_unet`` in the authors' code, ``unet_CT_multi_att_dsv_3D``.

Theirs has two parts more: ``gating``, a convolution between the lowest level and its gate, and
``final``, which joins the heads of four levels. Weights that include them are refused; those of
their network without these parts fit, ``dsv1`` as the head. MONAI's ``AttentionUnet`` is another
network (see the card), and has no table.

Source: ozan-oktay/Attention-Gated-Networks, ``models/networks/unet_CT_multi_att_dsv_3D.py``,
``models/networks/utils.py``, ``models/layers/grid_attention_layer.py``; compared with its class.
"""

from unetzoo.interop.names.table import Names

AUTHORS = Names(
    "the authors' Attention-Gated-Networks",
    {
        "encoder{n}-conv{m}": "conv{n}.conv{m}.0",
        "encoder{n}-norm{m}": "conv{n}.conv{m}.1",
        "bottleneck-conv{m}": "center.conv{m}.0",
        "bottleneck-norm{m}": "center.conv{m}.1",
        "gate{n}-{i}-theta": "attentionblock{n}.gate_block_{i}.theta",
        "gate{n}-{i}-phi": "attentionblock{n}.gate_block_{i}.phi",
        "gate{n}-{i}-psi": "attentionblock{n}.gate_block_{i}.psi",
        "gate{n}-{i}-conv": "attentionblock{n}.gate_block_{i}.W.0",
        "gate{n}-{i}-norm": "attentionblock{n}.gate_block_{i}.W.1",
        "gate{n}-combine-conv1": "attentionblock{n}.combine_gates.0",
        "gate{n}-combine-norm1": "attentionblock{n}.combine_gates.1",
        "decoder{n}-conv{m}": "up_concat{n}.conv.conv{m}.0",
        "decoder{n}-norm{m}": "up_concat{n}.conv.conv{m}.1",
        "head1": "dsv1",
        "head{n}": "dsv{n}.dsv.0",
    },
    note="the authors' gating and final have no place in the paper's network",
)
TABLES = (AUTHORS,)
