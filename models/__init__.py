"""Univariate Gaussian mixtures by EM, direct maximisation, MAP and NUTS. The public interface."""

from models.methods import METHODS, Fit, compress, fit
from models.mixture import Mixture
from models.model import MixtureModel

__all__ = ["METHODS", "Fit", "Mixture", "MixtureModel", "compress", "fit"]
