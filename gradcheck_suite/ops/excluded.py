"""Public names of torch that are deliberately no ops of this suite, each with the reason.

A new torch release that adds a name shows up in the closed-world test: it must be registered or listed here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

_FUNCTIONAL: Final = {
    "pooling: a mean or a choice of entries, no activation, loss or distance": """
        adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d
        adaptive_max_pool3d adaptive_max_pool1d_with_indices adaptive_max_pool2d_with_indices
        adaptive_max_pool3d_with_indices avg_pool1d avg_pool2d avg_pool3d fractional_max_pool2d
        fractional_max_pool3d fractional_max_pool2d_with_indices fractional_max_pool3d_with_indices lp_pool1d
        lp_pool2d lp_pool3d max_pool1d max_pool2d max_pool3d max_pool1d_with_indices max_pool2d_with_indices
        max_pool3d_with_indices max_unpool1d max_unpool2d max_unpool3d""",
    "a linear layer or a convolution: a sum of products, judged where a loss or attention contains one": """
        linear bilinear conv1d conv2d conv3d conv_tbc conv_transpose1d conv_transpose2d conv_transpose3d
        grouped_mm scaled_grouped_mm scaled_mm embedding embedding_bag""",
    "a normalization layer over statistics of a batch or a group": """
        batch_norm group_norm instance_norm layer_norm local_response_norm rms_norm""",
    "dropout: a random mask, not a function of its input": """
        alpha_dropout dropout dropout1d dropout2d dropout3d feature_alpha_dropout""",
    "resampling of images": """
        affine_grid grid_sample interpolate upsample upsample_bilinear upsample_nearest""",
    "a rearrangement of entries without arithmetic": """
        channel_shuffle native_channel_shuffle fold unfold pad pixel_shuffle pixel_unshuffle one_hot""",
    "a helper of torch's own code that is visible in the namespace": """
        Optional assert_int_or_pair boolean_dispatch handle_torch_function has_torch_function
        has_torch_function_unary has_torch_function_variadic""",
}

_SPECIAL: Final = {
    "a Bessel or Airy function: no activation, loss or distance is made of it": """
        airy_ai bessel_j0 bessel_j1 bessel_y0 bessel_y1 i0 i0e i1 i1e modified_bessel_i0 modified_bessel_i1
        modified_bessel_k0 modified_bessel_k1 scaled_modified_bessel_k0 scaled_modified_bessel_k1
        spherical_bessel_j0""",
    "an orthogonal polynomial": """
        chebyshev_polynomial_t chebyshev_polynomial_u chebyshev_polynomial_v chebyshev_polynomial_w
        hermite_polynomial_h hermite_polynomial_he laguerre_polynomial_l legendre_polynomial_p
        shifted_chebyshev_polynomial_t shifted_chebyshev_polynomial_u shifted_chebyshev_polynomial_v
        shifted_chebyshev_polynomial_w""",
    "a function of the gamma or zeta family: no activation, loss or distance calls it": """
        digamma gammainc gammaincc gammaln multigammaln polygamma psi zeta""",
    "a step function": "round",
}


def _listed(namespace: str, groups: dict[str, str]) -> Iterator[tuple[str, str]]:
    for reason, names in groups.items():
        for name in names.split():
            yield f"{namespace}.{name}", reason


EXCLUDED: Final[dict[str, str]] = {
    **dict(_listed("torch.nn.functional", _FUNCTIONAL)),
    **dict(_listed("torch.special", _SPECIAL)),
}
"""Reasons by full name."""
