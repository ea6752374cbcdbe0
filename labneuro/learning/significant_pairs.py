"""A weight with a coarse, lasting pair and a fine, fleeting one, the first worth F times the second.

Ambrogio et al., Nature 558, 60 (2018); F of about 3 from memory. With G the difference of the most significant pair, g
that of the least significant, and a polarity s = ±1,

    W = F G + s g.

Learning moves g alone. From time to time W is transferred: F G is written to W, g to what the writing missed, and s is
inverted. A device of the fine pair whose steps up and down differ moves W the wrong way as long with s as against it,
so that fixed asymmetries cancel.
"""

from labneuro.units import FloatArray


class SignificantPairs:
    """The factor and the present polarity. factor: F, above 0; ValueError if it isn't."""

    def __init__(self, factor: float = 3.0) -> None:
        if not factor > 0:
            raise ValueError(f"factor is {factor:g}: give what the coarse pair counts more than the fine one, above 0")
        self.factor = factor
        self.polarity = 1

    def weights(self, coarse: FloatArray, fine: FloatArray) -> FloatArray:
        """Return W for the differences of the pairs, G and g, S."""
        return self.factor * coarse + self.polarity * fine

    def fine_change(self, change: FloatArray) -> FloatArray:
        """Return by how much g has to change, S, for a change of W."""
        return self.polarity * change

    def coarse_target(self, weights: FloatArray) -> FloatArray:
        """Return the G that a transfer writes, S."""
        return weights / self.factor

    def invert(self, weights: FloatArray, coarse: FloatArray) -> FloatArray:
        """Invert the polarity; return the g with which W is as before, S. coarse: G as it was read after writing."""
        self.polarity = -self.polarity
        return self.polarity * (weights - self.factor * coarse)
