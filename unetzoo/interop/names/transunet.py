"""``transunet`` in the authors' code, ``VisionTransformer`` of R50-ViT-B/16.

Source: Beckschen/TransUNet, ``networks/vit_seg_modeling.py`` and
``networks/vit_seg_modeling_resnet_skip.py``; compared with its class. Its first convolution takes
three channels; build the network with as many.
"""

from unetzoo.interop.names.table import Names

RESNET = "transformer.embeddings.hybrid_model"
LAYER = "transformer.encoder.layer.{n-1}"
AUTHORS = Names(
    "the authors' TransUNet",
    {
        "root-conv": f"{RESNET}.root.conv",
        "root-norm": f"{RESNET}.root.gn",
        "block{n}-unit{m}-conv{i}": f"{RESNET}.body.block{{n}}.unit{{m}}.conv{{i}}",
        "block{n}-unit{m}-norm{i}": f"{RESNET}.body.block{{n}}.unit{{m}}.gn{{i}}",
        "block{n}-unit{m}-proj_conv": f"{RESNET}.body.block{{n}}.unit{{m}}.downsample",
        "block{n}-unit{m}-proj_norm": f"{RESNET}.body.block{{n}}.unit{{m}}.gn_proj",
        "patches": "transformer.embeddings.patch_embeddings",
        "positions": "transformer.embeddings.position_embeddings",
        "transformer{n}-norm1": f"{LAYER}.attention_norm",
        "transformer{n}-attention": f"{LAYER}.attn",
        "transformer{n}-norm2": f"{LAYER}.ffn_norm",
        "transformer{n}-mlp1": f"{LAYER}.ffn.fc1",
        "transformer{n}-mlp2": f"{LAYER}.ffn.fc2",
        "transformer-norm": "transformer.encoder.encoder_norm",
        "bridge-conv1": "decoder.conv_more.0",
        "bridge-norm1": "decoder.conv_more.1",
        "decoder{n}-conv{m}": "decoder.blocks.{n-1}.conv{m}.0",
        "decoder{n}-norm{m}": "decoder.blocks.{n-1}.conv{m}.1",
        "head1": "segmentation_head.0",
    },
)
TABLES = (AUTHORS,)
