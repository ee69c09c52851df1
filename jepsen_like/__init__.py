"""
jepsen_like: does a store keep its promises?

Histories of what clients saw, checkers that judge them, faults that provoke the
worst, and a runner that does the same in simulation and on real processes.  The
judge does not know the accused: `history`, `readers`, `models` and `checkers`
import no store.
"""
