"""FILM's network: what depends on a frame, then what depends on a pair, then each time.

    x ─▶ pyramid of images ─▶ features ─▶ halves      one frame: `pyramid`
                                  │
    features of two frames ─▶ flow both ways          a pair: `motion`
                                  │
    images, features and flow at a time ─▶ a frame    a time: `fusion`

The same numbers as the paper's network written down plainly, with less work and a third of the memory:
- What depends on one frame alone is worked out once for the two gaps that the frame stands in. To that belongs the half
  of each flow predictor's first convolution that looks at the frame itself (a convolution of maps side by side is the
  sum of two).
- A map doubled by repeating pixels and then convolved by 2x2 is worked out before it is doubled, for a quarter of the
  multiplications (`fusion.double`).
- Fine levels go through by strips of rows, so that their widest maps never stand in memory whole (`layers.strips`).
- Warps gather all channels of a pixel at once (`warp`).

Source: FILM: Frame Interpolation for Large Motion (Reda et al. 2022). Settings, and the order of what stands side by
side in each input, are those of the published checkpoint.
"""
