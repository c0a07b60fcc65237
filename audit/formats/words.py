"""The classes of layers that people's words stand for."""

import re
from functools import lru_cache

from audit.formats.pytorch import ACTIVATIONS, keras_class
from audit.kinds import KINDS, RANKLESS

RANKED = {  # for so many axes
    "Conv{}D": "conv convolution convolutional convlayer convolutionlayer convolutionallayer",
    "Conv{}DTranspose": "transposedconv convtranspose convtransposed transposeconv deconv "
    "deconvolution upconv upconvolution transposedconvolution",
    "MaxPooling{}D": "maxpool maxpooling pool pooling maxpoolinglayer maxpoollayer",
    "AveragePooling{}D": "avgpool averagepool averagepooling avgpooling",
    "GlobalAveragePooling{}D": "globalaveragepooling globalaveragepool globalavgpool gap "
    "globalavgpooling adaptiveavgpool",
    "GlobalMaxPooling{}D": "globalmaxpooling globalmaxpool",
    "UpSampling{}D": "upsample upsampling",
    "DepthwiseConv{}D": "depthwiseconv dwconv depthwiseconvolution depthwise",
    "SeparableConv{}D": "separableconv separableconvolution",
    "ZeroPadding{}D": "zeropad zeropadding padding",
}
RANKFREE = {
    "Dense": "dense fc linear fullyconnected denselayer fullyconnectedlayer linearlayer",
    "BatchNormalization": "batchnorm batchnormalization batchnormalisation bn",
    "GroupNormalization": "instancenorm groupnorm groupnormalisation instancenormalization",
    "LayerNormalization": "layernorm layernormalisation",
    "Dropout": "dropoutlayer",
    "Concatenate": "concat concatenation cat",
    "Add": "addition residualadd skipadd",
    "InputLayer": "input inputimage",
    "Flatten": "flattenlayer",
    "Activation": "sigmoid tanh gelu silu swish mish",
    "Bidirectional": "bilstm bidirectionallstm bigru",
}
WORDS = {word: kind for kind, words in RANKFREE.items() for word in words.split()}
WITH_AXES = {word: kind for kind, words in RANKED.items() for word in words.split()}
OURS = {kind.lower(): kind for kind in KINDS}
THEIRS = {name.lower(): ours for ours, name in RANKLESS.items()}
THEIRS |= {name.lower(): name for name in ACTIVATIONS.values() if name in KINDS}
BESIDE = re.compile(r"relu|leakyrelu|elu|sigmoid|softmax|tanh|gelu|silu|swish|dropout|activation")


@lru_cache(maxsize=1024)
def kind_of(text: str, rank: int) -> str | None:
    """Keras's class for a word, of a network of so many axes; None if it is unknown.

    An activation or dropout beside a layer has no parameters, and is left to it.

    >>> kind_of("Conv2D (32 filters, 3x3)", 2), kind_of("max pool 2×2", 2), kind_of("Block 3", 2)
    ('Conv2D', 'MaxPooling2D', None)
    >>> kind_of("Dense + ReLU", 0), kind_of("Conv + BatchNorm", 2), kind_of("BatchNorm2d", 2)
    ('Dense', None, 'BatchNormalization')
    """
    first, *others = re.split(r"\s*[+&]\s*", re.split(r"[(,:]", text)[0])
    if not all(BESIDE.fullmatch(_squashed(other)) for other in others):
        return None
    printed = re.match(r"[A-Za-z]+[123]d(?=[-_ ]?\d*$)", first.strip())
    if printed and (ours := keras_class(printed[0])) != printed[0]:
        return ours
    return _kind(_squashed(first), rank)


def _squashed(text: str) -> str:
    """Its letters, and the axes: ``max_pooling2d_1`` is a maxpooling2d."""
    words = re.sub(r"\d+ ?[\u00d7x] ?\d+", "", text.lower())
    words = re.sub(r"[\s_-]*\d+$", "", words.strip())
    return re.sub(r"[^a-z0-9]", "", words)


def _kind(word: str, rank: int) -> str | None:
    axes = re.fullmatch(r"([a-z]+?)([123])d([a-z]*)", word)
    rank, stem = (int(axes[2]), axes[1] + axes[3]) if axes else (rank, word)
    kind = OURS.get(word) or WORDS.get(stem) or THEIRS.get(stem)
    if kind or rank not in (1, 2, 3):
        return kind
    return WITH_AXES[stem].format(rank) if stem in WITH_AXES else None
