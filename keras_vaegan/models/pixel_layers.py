"""Layers that move pixels: padding, unshuffling, cropping."""

from __future__ import annotations

import keras
from keras import ops

from keras_vaegan.kernels import pad_by_reflection


@keras.saving.register_keras_serializable(package="keras_vaegan")
class ReflectionPadding2D(keras.layers.Layer):
    """Pad height and width by mirroring, the edge pixel not repeated.

    Args:
        padding: Pixels on every side, or (rows, columns).

    Inputs: (N, H, W, C). Returns: (N, H + 2 rows, W + 2 columns, C).
    """

    def __init__(self, padding: int | tuple[int, int] = 1, **kwargs) -> None:
        super().__init__(**kwargs)
        self.padding = (padding, padding) if isinstance(padding, int) else tuple(padding)

    def call(self, inputs):
        rows, columns = self.padding
        if not (inputs.shape[1] and inputs.shape[2]):
            pads = ((0, 0), (rows, rows), (columns, columns), (0, 0))
            return ops.pad(inputs, pads, mode="reflect")
        return pad_by_reflection(inputs, rows, columns)

    def compute_output_shape(self, input_shape):
        count, height, width, channels = input_shape
        rows, columns = self.padding
        grown = [side and side + 2 * pad for side, pad in ((height, rows), (width, columns))]
        return (count, *grown, channels)

    def get_config(self) -> dict:
        return {**super().get_config(), "padding": self.padding}


@keras.saving.register_keras_serializable(package="keras_vaegan")
class PixelUnshuffle(keras.layers.Layer):
    """Move blocks of factor x factor pixels into channels, the colour channel slowest.

    Heights and widths that the factor does not divide are first grown by mirroring.

    Args:
        factor: Side of a block in pixels.

    Inputs: (N, H, W, C), H and W at least factor - 1.
    Returns: (N, ceil(H / factor), ceil(W / factor), C * factor**2).

    Reference: the order of PyTorch's pixel_unshuffle, which published weights expect.
    """

    def __init__(self, factor: int = 2, **kwargs) -> None:
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, inputs):
        factor, channels = self.factor, inputs.shape[-1]
        shape = ops.shape(inputs)
        rows, columns = (shape[axis] + factor - 1 for axis in (1, 2))
        rows, columns = rows // factor, columns // factor
        grown = ((0, 0), (0, factor - 1), (0, factor - 1), (0, 0))
        x = ops.pad(inputs, grown, mode="symmetric")[:, : rows * factor, : columns * factor]
        x = ops.reshape(x, (-1, rows, factor, columns, factor, channels))
        x = ops.transpose(x, (0, 1, 3, 5, 2, 4))
        return ops.reshape(x, (-1, rows, columns, channels * factor**2))

    def compute_output_shape(self, input_shape):
        count, height, width, channels = input_shape
        sides = [side and -(-side // self.factor) for side in (height, width)]
        return (count, *sides, channels and channels * self.factor**2)

    def get_config(self) -> dict:
        return {**super().get_config(), "factor": self.factor}


@keras.saving.register_keras_serializable(package="keras_vaegan")
class CropToMultiple(keras.layers.Layer):
    """Cut an enlarged image to `scale` times the size of another: the inverse of growing it.

    Args:
        scale: Pixels of the result per pixel of the other image along an axis.

    Inputs: (enlarged (N, H', W', C'), image (N, H, W, C)).
    Returns: (N, H * scale, W * scale, C'), the upper left part.
    """

    def __init__(self, scale: int = 1, **kwargs) -> None:
        super().__init__(**kwargs)
        self.scale = scale

    def call(self, inputs):
        enlarged, image = inputs
        shape = ops.shape(image)
        return enlarged[:, : shape[1] * self.scale, : shape[2] * self.scale]

    def compute_output_shape(self, input_shape):
        enlarged, image = input_shape
        sides = [side and side * self.scale for side in image[1:3]]
        return (enlarged[0], *sides, enlarged[-1])

    def get_config(self) -> dict:
        return {**super().get_config(), "scale": self.scale}
