"""Adversarial losses on a discriminator's maps of logits, always computed in float32."""

from __future__ import annotations

from keras import ops


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


def relativistic_losses(real: list, fake: list, average=ops.mean) -> tuple:
    """Losses of a discriminator that says which of two is more real than the other's average.

    Args:
        real: One map of logits (N, H, W, 1) a head, for real images.
        fake: The same, for generated ones.
        average: Mean of a map over the batch: over the global one, where there are replicas.

    Returns:
        (for_generator, for_discriminator): scalars, means over the heads.

    Reference: Jolicoeur-Martineau 2018, "The relativistic discriminator"; ESRGAN, section 3.2.
    """
    for_generator, for_discriminator = [], []
    for own, other in zip(real, fake, strict=True):
        own, other = ops.cast(own, "float32"), ops.cast(other, "float32")
        real_over_fake, fake_over_real = own - average(other), other - average(own)
        wins = ops.mean(ops.softplus(-real_over_fake)) + ops.mean(ops.softplus(fake_over_real))
        losses = ops.mean(ops.softplus(real_over_fake)) + ops.mean(ops.softplus(-fake_over_real))
        for_discriminator.append(0.5 * wins)
        for_generator.append(0.5 * losses)
    return sum(for_generator) / len(real), sum(for_discriminator) / len(real)


def lecam_losses(real: list, fake: list, real_levels: list, fake_levels: list) -> list:
    """LeCam regularisation of each head: answers keep near the other side's average of late.

    Args:
        real: One map of logits (N, H, W, 1) a head, for real images.
        fake: The same, for generated ones.
        real_levels: Moving average of each head's answers to real images, scalars.
        fake_levels: The same, for generated ones.

    Returns:
        List of scalars, one a head.

    Reference: Tseng et al. 2021, "Regularizing Generative Adversarial Networks under Limited
    Data".
    """

    def spread(maps, levels) -> list:
        return [
            ops.mean(ops.square(ops.cast(logits, "float32") - level))
            for logits, level in zip(maps, levels, strict=True)
        ]

    both = zip(spread(real, fake_levels), spread(fake, real_levels), strict=True)
    return [on_real + on_fake for on_real, on_fake in both]
