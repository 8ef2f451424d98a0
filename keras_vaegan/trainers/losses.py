"""Losses: pure functions of tensors, in keras.ops alone, always computed in float32."""

from __future__ import annotations

import numpy as np
from keras import ops

SSIM_WINDOW = 11
SSIM_SIGMA = 1.5
AIR_CEILING = 0.15


def adversarial_loss(logits: list, is_real: bool, kind: str = "least_squares") -> list:
    """Loss of each head for being asked to say `is_real`.

    Args:
        logits: One map (N, H, W, 1) a head.
        is_real: The answer wanted.
        kind: "least_squares", or "bce" on logits.

    Returns:
        List of scalars, one a head: the mean over the head's map.

    Reference: Mao et al. 2017, "Least Squares GANs"; Goodfellow et al. 2014 for "bce".
    """
    target = 1.0 if is_real else 0.0
    if kind == "least_squares":
        return [ops.mean(ops.square(ops.cast(x, "float32") - target)) for x in logits]
    sign = -1.0 if is_real else 1.0
    return [ops.mean(ops.softplus(sign * ops.cast(x, "float32"))) for x in logits]


def relativistic_losses(real: list, fake: list) -> tuple:
    """Losses of a discriminator that says which of two is more real than the other's average.

    Args:
        real: One map of logits (N, H, W, 1) a head, for real images.
        fake: The same, for made ones.

    Returns:
        (for_generator, for_discriminator): scalars, means over the heads.

    Reference: Jolicoeur-Martineau 2018, "The relativistic discriminator"; ESRGAN, section 3.2.
    """
    for_generator, for_discriminator = [], []
    for own, other in zip(real, fake, strict=True):
        own, other = ops.cast(own, "float32"), ops.cast(other, "float32")
        real_over_fake, fake_over_real = own - ops.mean(other), other - ops.mean(own)
        wins = ops.mean(ops.softplus(-real_over_fake)) + ops.mean(ops.softplus(fake_over_real))
        losses = ops.mean(ops.softplus(real_over_fake)) + ops.mean(ops.softplus(-fake_over_real))
        for_discriminator.append(0.5 * wins)
        for_generator.append(0.5 * losses)
    return sum(for_generator) / len(real), sum(for_discriminator) / len(real)


def mean_absolute_error(first, second):
    """Mean absolute difference of two tensors of equal shape: a scalar."""
    return ops.mean(ops.abs(ops.cast(first, "float32") - ops.cast(second, "float32")))


def find_background(unit):
    """Mark the air around a head: what a morphological closing of the bright pixels leaves out.

    Bone, fluid and sinuses are dark in some images too, but lie enclosed by brighter tissue.

    Args:
        unit: (N, H, W, C) images in [0, 1].

    Returns:
        (N, H, W, 1) float32, 1 in the air and 0 in the head; pixels up to `AIR_CEILING` count as
        dark, and gaps up to an eighth of the image side are closed.
    """
    reach = unit.shape[1] // 8 | 1
    head = ops.max(ops.cast(unit, "float32"), axis=-1, keepdims=True)
    head = ops.cast(head > AIR_CEILING, "float32")
    head = ops.pad(head, ((0, 0), (reach, reach), (reach, reach), (0, 0)))
    for sign in (1.0, -1.0):  # dilate, then erode
        head = sign * head
        for window in ((reach, 1), (1, reach)):
            head = ops.max_pool(head, window, strides=1, padding="same")
        head = sign * head
    return 1.0 - head[:, reach:-reach, reach:-reach]


def choose_start(unit, air, anchor: str):
    """Draw the first, rough translation that the anchor loss pulls a network to.

    Args:
        unit: (N, H, W, C) images in [0, 1].
        air: (N, H, W, 1) float32 of `find_background`.
        anchor: "copy", "negative", or "shell": the negative near the head's surface (to a depth
            of a twelfth of the image side) and of whatever is nearly white, the input elsewhere.

    Returns:
        (N, H, W, C) float32 in [0, 1], black in the air.
    """
    if anchor == "shell":
        inverted = ops.maximum(_find_shell(air), ops.clip((unit - 0.7) / 0.2, 0.0, 1.0))
    else:
        inverted = {"copy": 0.0, "negative": 1.0}[anchor]
    return (inverted * (1 - unit) + (1 - inverted) * unit) * (1 - air)


def _find_shell(air):
    """1 from the air to a depth of a twelfth of the side, falling to 0 within a 24th around it."""
    reach, blur = air.shape[1] // 6 | 1, air.shape[1] // 24 | 1
    for window in ((reach, 1), (1, reach)):
        air = ops.max_pool(air, window, strides=1, padding="same")
    return ops.average_pool(air, blur, strides=1, padding="same")


def kl_loss(z_mean, z_log_var):
    """KL divergence of N(z_mean, exp(z_log_var)) from the standard normal.

    Returns:
        Scalar in nats: the mean over the batch and over the latent's elements, so that its
        weight does not depend on the latent's size.

    Reference: Kingma & Welling 2014, appendix B; the mean over elements is our reading.
    """
    z_mean, z_log_var = ops.cast(z_mean, "float32"), ops.cast(z_log_var, "float32")
    return 0.5 * ops.mean(ops.square(z_mean) + ops.exp(z_log_var) - 1.0 - z_log_var)


def ssim(first, second):
    """Structural similarity per image, in the `tf` flavour.

    Args:
        first: (N, H, W, C) images in [0, 1], H and W at least 11.
        second: The same shape.

    Returns:
        (N,) float32: 11x11 Gaussian of sigma 1.5, k1 0.01, k2 0.03, population covariance, mean
        over the valid region and the channels.

    Reference: Wang et al. 2004, "Image Quality Assessment"; `tf.image.ssim` with max_val=1.
    """
    first, second = ops.cast(first, "float32"), ops.cast(second, "float32")
    count, height, width, channels = first.shape
    maps = ops.stack([first, second, first * first + second * second, first * second])
    maps = ops.moveaxis(maps, -1, 2)
    maps = ops.reshape(maps, (-1, height, width, 1))
    kernel = _gaussian_window()
    maps = ops.conv(maps, ops.reshape(kernel, (-1, 1, 1, 1)), padding="valid")
    maps = ops.conv(maps, ops.reshape(kernel, (1, -1, 1, 1)), padding="valid")
    border = SSIM_WINDOW - 1
    maps = ops.reshape(maps, (4, -1, channels, height - border, width - border))
    mean_1, mean_2, squares, product = (maps[index] for index in range(4))
    c1, c2 = 0.01**2, 0.03**2
    luminance = (2 * mean_1 * mean_2 + c1) / (mean_1**2 + mean_2**2 + c1)
    covariance = product - mean_1 * mean_2
    variances = squares - mean_1**2 - mean_2**2
    structure = (2 * covariance + c2) / (variances + c2)
    return ops.mean(luminance * structure, axis=(1, 2, 3))


def ssim_loss(first, second):
    """1 - mean SSIM of two batches in [0, 1]: a scalar."""
    return 1.0 - ops.mean(ssim(first, second))


def _gaussian_window() -> np.ndarray:
    """The 1-D Gaussian whose outer product is SSIM's window, summing to 1."""
    offsets = np.arange(SSIM_WINDOW) - SSIM_WINDOW // 2
    weights = np.exp(-(offsets**2) / (2 * SSIM_SIGMA**2))
    return (weights / weights.sum()).astype("float32")
