"""The judge: how generated showers compare with a reference, each number with its error and its floor.

Every metric is a function of arrays; `judge` runs them all over files or arrays and writes `metrics.json`.

Letters: N showers, V voxels, L layers, A layers binned in alpha, R rings (all layers), F features, C histograms of one
family, B bins, K blocks of showers (for errors).
"""

from calojax import lazy

_HOME = {
    "Classified": "classifiers",
    "Estimate": "jackknife",
    "FixedEnergyCorrelations": "fixed_energy",
    "Inspection": "inspection",
    "Metric": "schema",
    "Metrics": "schema",
    "Moments": "features",
    "classifier_test": "classifiers",
    "classify": "classifiers",
    "energy_bins": "energy",
    "feature_names": "features",
    "features_of": "features",
    "fixed_energy_correlations": "fixed_energy",
    "fpd": "frechet",
    "frechet_distance": "frechet",
    "frobenius_distance": "pearson",
    "frobenius_occupancy": "occupancy",
    "hit_counts": "hits",
    "hit_pearson": "occupancy",
    "hit_probability": "occupancy",
    "hits_at_energy": "hits",
    "inspect": "inspection",
    "judge": "judging",
    "kpd": "kernel",
    "layer_moments": "features",
    "load_metrics": "schema",
    "memorisation_share": "memorisation",
    "pearson_matrix": "pearson",
    "prdc": "neighbours",
    "response": "energy_response",
    "response_chi2": "chi_squared",
    "separation_power": "separation",
    "shower_features": "features",
    "summary": "verdicts",
    "verdict": "verdicts",
    "wasserstein_distance": "wasserstein",
}
__all__ = sorted(_HOME)
__getattr__, __dir__ = lazy.names(__name__, _HOME)
