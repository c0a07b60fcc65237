"""What the auditor must know about each layer class, one table for each question.

A new layer of the zoo is entered here. Its rules stand in ``analysis.formulas`` (what it computes),
``analysis.saved_tensors`` (what it keeps) and ``analysis.receptive_field`` (what it sees).
``tests/audit/test_kinds.py`` finds every layer of the zoo in all of them.
"""

# Keras's own classes.
KINDS = (
    "Activation", "ActivityRegularization", "AdaptiveAveragePooling1D",
    "AdaptiveAveragePooling2D", "AdaptiveAveragePooling3D", "AdaptiveMaxPooling1D",
    "AdaptiveMaxPooling2D", "AdaptiveMaxPooling3D", "Add", "AdditiveAttention", "AlphaDropout",
    "Attention", "AugMix", "AutoContrast", "Average", "AveragePooling1D", "AveragePooling2D",
    "AveragePooling3D", "BatchNormalization", "Bidirectional", "CategoryEncoding", "CenterCrop",
    "Concatenate", "ContrastLimitedAdaptiveHistogramEqualization", "Conv1D", "Conv1DTranspose",
    "Conv2D", "Conv2DTranspose", "Conv3D", "Conv3DTranspose", "ConvLSTM1D", "ConvLSTM2D",
    "ConvLSTM3D", "Cropping1D", "Cropping2D", "Cropping3D", "CutMix", "Dense", "DepthwiseConv1D",
    "DepthwiseConv2D", "Discretization", "Dot", "Dropout", "ELU", "EinsumDense", "Embedding",
    "Equalization", "Flatten", "FlaxLayer", "GRU", "GRUCell", "GaussianDropout", "GaussianNoise",
    "GlobalAveragePooling1D", "GlobalAveragePooling2D", "GlobalAveragePooling3D",
    "GlobalMaxPooling1D", "GlobalMaxPooling2D", "GlobalMaxPooling3D", "GroupNormalization",
    "GroupQueryAttention", "HashedCrossing", "Hashing", "Identity", "InputLayer", "IntegerLookup",
    "JaxLayer", "LSTM", "LSTMCell", "Lambda", "LayerNormalization", "LeakyReLU", "Masking",
    "MaxNumBoundingBoxes", "MaxPooling1D", "MaxPooling2D", "MaxPooling3D", "Maximum",
    "MelSpectrogram", "Minimum", "MixUp", "MultiHeadAttention", "Multiply", "Normalization",
    "PReLU", "Permute", "Pipeline", "RMSNormalization", "RNN", "RandAugment", "RandomBrightness",
    "RandomColorDegeneration", "RandomColorJitter", "RandomContrast", "RandomCrop",
    "RandomElasticTransform", "RandomErasing", "RandomFlip", "RandomGaussianBlur",
    "RandomGrayscale", "RandomHue", "RandomInvert", "RandomPerspective", "RandomPosterization",
    "RandomRotation", "RandomSaturation", "RandomSharpness", "RandomShear", "RandomTranslation",
    "RandomZoom", "ReLU", "RepeatVector", "Rescaling", "Reshape", "Resizing",
    "ReversibleEmbedding", "STFTSpectrogram", "SeparableConv1D", "SeparableConv2D", "SimpleRNN",
    "SimpleRNNCell", "SlicingOpLambda", "Softmax", "Solarization", "SpatialDropout1D",
    "SpatialDropout2D", "SpatialDropout3D", "SpectralNormalization", "StackedRNNCells",
    "StringLookup", "Subtract", "TFOpLambda", "TFSMLayer", "TensorFlowOpLayer",
    "TextVectorization", "TimeDistributed", "TorchModuleWrapper", "UnitNormalization",
    "UpSampling1D", "UpSampling2D", "UpSampling3D", "ZeroPadding1D", "ZeroPadding2D",
    "ZeroPadding3D",
)  # fmt: skip
# Functions in PyTorch (cat, pad, interpolate), or nothing at all: no module, so no row.
FUNCTIONS = {
    "InputLayer", "Concatenate", "Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum",
    "CheckSizes", "PadToMatch", "CropToMatch", "CropToMultiple", "Reshape", "Permute",
    "TokensToMap", "LinearUpsampling", "ResizeToMatch", "UpSampling1D", "UpSampling2D",
    "UpSampling3D",
}  # fmt: skip
# Keras's class to PyTorch's module, for classes that take any number of axes.
RANKLESS = {
    "ReLU": "ReLU",
    "LeakyReLU": "LeakyReLU",
    "PReLU": "PReLU",
    "Dropout": "Dropout",
    "Dense": "Linear",
    "Softmax": "Softmax",
    "Flatten": "Flatten",
    "LayerNormalization": "LayerNorm",
    "MultiHeadAttention": "MultiheadAttention",
    "Embedding": "Embedding",
}
# The same for those with one class for each number of axes.
RANKED = {
    "BatchNormalization": "BatchNorm{}d",
    "SpatialDropout": "Dropout{}d",
    "MaxPooling": "MaxPool{}d",
    "AveragePooling": "AvgPool{}d",
    "GlobalAveragePooling": "AdaptiveAvgPool{}d",
    "GlobalMaxPooling": "AdaptiveMaxPool{}d",
    "ZeroPadding": "ZeroPad{}d",
    "DepthwiseConv": "Conv{}d",
    "Conv": "Conv{}d",
}
# Their output is a part or another shape of the map they read, and keeps that map in memory.
VIEWS = {
    "InputLayer", "CheckSizes", "CropToMatch", "CropToMultiple", "Cropping1D", "Cropping2D",
    "Cropping3D", "Flatten", "Identity", "Permute", "Reshape", "TokensToMap",
}  # fmt: skip
# They do nothing in a prediction.
TRAINING_ONLY = {
    "Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "GaussianDropout",
    "GaussianNoise",
}  # fmt: skip
# A training step passes the gradient of their output on, unchanged, to what they read.
HANDING_ON = {
    "Add", "Concatenate", "Flatten", "Identity", "Permute", "PositionEmbeddings", "Reshape",
    "TokensToMap", "ops.Add", "ops.Concatenate",
}  # fmt: skip
# Each voxel of their output sees all of their input.
WHOLE = ("MultiHeadAttention", "GlobalAveragePooling2D", "GlobalAveragePooling3D")
# They read their second input only for its size.
SIZE_FROM_SECOND = ("PadToMatch", "CropToMatch", "ResizeToMatch", "TokensToMap")
# Each voxel of their output sees only the same voxel of their input.
POINTWISE = {
    "InputLayer", "BatchNormalization", "GroupNormalization", "ReLU", "LeakyReLU", "PReLU", "ELU",
    "Activation", "Softmax", "Add", "Multiply", "Concatenate", "Dropout", "SpatialDropout2D",
    "SpatialDropout3D", "Dense", "Identity", "CropToMultiple", "CheckSizes", "LayerNormalization",
    "PositionEmbeddings", "Subtract", "Average", "Maximum", "Minimum", "ops.Add", "ops.Concatenate",
}  # fmt: skip
# The report draws them as the crops and pads that make sizes match.
FITS = ("PadToMatch", "CropToMatch", "CropToMultiple", "CheckSizes")
