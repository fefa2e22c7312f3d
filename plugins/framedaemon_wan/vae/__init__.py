"""Wan's VAE within bounds: frames stream out of it, tile by tile where memory is small, and a still streams in."""
