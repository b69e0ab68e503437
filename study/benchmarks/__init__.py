"""Paired timings beside other software, apart from any design."""
