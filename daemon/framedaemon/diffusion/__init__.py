"""For generators that denoise with diffusers: going on in the middle of a denoise, to the bit.

Imports torch: import it only where the stage is loaded.
"""
