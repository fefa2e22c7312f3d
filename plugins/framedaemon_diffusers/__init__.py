"""diffusers: a still becomes a moving picture by any image-to-video pipeline of diffusers."""
