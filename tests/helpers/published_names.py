"""The weights of twins by the names that implementations have published."""

import re


def renamed(state, *rules):
    """A twin's state by the names that an implementation has published."""
    found = {}
    for key, value in state.items():
        for pattern, replacement in rules:
            key = re.sub(pattern, replacement, key)
        found[key] = value
    return found


def as_milesials(state):
    unit = (r"double_conv\.(conv|norm)([12])", lambda m: f"double_conv.{NUMBERS[m[1] + m[2]]}")
    return renamed(
        state,
        unit,
        (r"^double_conv", "inc.double_conv"),
        (r"^(down\d)", r"\1.maxpool_conv.1"),
        (r"^(up\d)\.double_conv", r"\1.conv.double_conv"),
        (r"^out\.", "outc."),
    )


NUMBERS = {"conv1": 0, "norm1": 1, "conv2": 3, "norm2": 4}  # of a Sequential with ReLUs


def as_attention_authors(state):
    """Of Attention-Gated-Networks, without its gating and final."""
    return renamed(
        state,
        (r"^encoder(\d)\.conv(\d)", r"conv\1.conv\2.0"),
        (r"^encoder(\d)\.norm(\d)", r"conv\1.conv\2.1"),
        (r"^bottleneck\.conv(\d)", r"center.conv\1.0"),
        (r"^bottleneck\.norm(\d)", r"center.conv\1.1"),
        (r"^gate(\d)\.combine\.conv1", r"attentionblock\1.combine_gates.0"),
        (r"^gate(\d)\.combine\.norm1", r"attentionblock\1.combine_gates.1"),
        (r"^gate(\d)\.(\d)\.conv", r"attentionblock\1.gate_block_\2.W.0"),
        (r"^gate(\d)\.(\d)\.norm", r"attentionblock\1.gate_block_\2.W.1"),
        (r"^gate(\d)\.(\d)\.", r"attentionblock\1.gate_block_\2."),
        (r"^decoder(\d)\.conv(\d)", r"up_concat\1.conv.conv\2.0"),
        (r"^decoder(\d)\.norm(\d)", r"up_concat\1.conv.conv\2.1"),
        (r"^head1", "dsv1"),
    )


def as_transunet_authors(state):
    """Of Beckschen/TransUNet."""
    found = renamed(
        state,
        (r"^resnet\.root\.conv", "transformer.embeddings.hybrid_model.root.conv"),
        (r"^resnet\.root\.norm", "transformer.embeddings.hybrid_model.root.gn"),
        (r"^resnet\.block", "transformer.embeddings.hybrid_model.body.block"),
        (r"(unit\d+)\.proj_conv", r"\1.downsample"),
        (r"(unit\d+)\.proj_norm", r"\1.gn_proj"),
        (r"(unit\d+)\.norm(\d)", r"\1.gn\2"),
        (r"^patches", "transformer.embeddings.patch_embeddings"),
        (r"^positions\.embeddings", "transformer.embeddings.position_embeddings"),
        (r"^transformer\.norm", "transformer.encoder.encoder_norm"),
        (r"^transformer(\d+)\.", lambda m: f"transformer.encoder.layer.{int(m[1]) - 1}."),
        (r"(layer\.\d+)\.norm1", r"\1.attention_norm"),
        (r"(layer\.\d+)\.norm2", r"\1.ffn_norm"),
        (r"(layer\.\d+)\.attention\.", r"\1.attn."),
        (r"(layer\.\d+)\.mlp(\d)", r"\1.ffn.fc\2"),
        (r"^bridge\.conv1", "decoder.conv_more.0"),
        (r"^bridge\.norm1", "decoder.conv_more.1"),
        (r"^decoder(\d)\.conv(\d)", lambda m: f"decoder.blocks.{int(m[1]) - 1}.conv{m[2]}.0"),
        (r"^decoder(\d)\.norm(\d)", lambda m: f"decoder.blocks.{int(m[1]) - 1}.conv{m[2]}.1"),
        (r"^head1", "segmentation_head.0"),
    )
    positions = found["transformer.embeddings.position_embeddings"]
    found["transformer.embeddings.position_embeddings"] = positions.flatten(2).transpose(1, 2)
    return found
