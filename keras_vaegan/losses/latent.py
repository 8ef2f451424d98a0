"""The KL term of a Gaussian latent."""

from __future__ import annotations

from keras import ops


def kl_loss(z_mean, z_log_var):
    """KL divergence of N(z_mean, exp(z_log_var)) from the standard normal.

    Returns:
        Scalar in nats: the mean over the batch and over the latent's elements, so that its
        weight does not depend on the latent's size.

    Reference: Kingma & Welling 2014, appendix B; the mean over elements is our reading.
    """
    z_mean, z_log_var = ops.cast(z_mean, "float32"), ops.cast(z_log_var, "float32")
    return 0.5 * ops.mean(ops.square(z_mean) + ops.exp(z_log_var) - 1.0 - z_log_var)
