"""wan: a still becomes a moving picture by Wan 2.2, through diffusers."""
