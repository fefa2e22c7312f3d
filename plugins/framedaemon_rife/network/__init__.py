"""The network: its versions as rows of one table, its weights by our names, and its forms for each runtime.

Source: "Real-Time Intermediate Flow Estimation for Video Frame Interpolation" (Huang et al., ECCV 2022) and the models
that its authors publish as Practical-RIFE 4.x (MIT). The code is ours.
"""
