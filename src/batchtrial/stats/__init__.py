"""Statistics of paired prompt trials: arrays in, frozen records out.

| question | functions |
|---|---|
| right/wrong answers: is there a difference, how large | `discordant`, `tango`, `mcnemar_midp`, `odds_ratio`, `probability_better` |
| several samples per item, clustered items | `effective_tango`, `clustered_mean` |
| scores | `paired_t`, `sign_flip`, `bootstrap_mean`, `wilcoxon`, `hodges_lehmann`, `cohen_dz` |
| not worse, or the same | `noninferiority_binary`, `equivalence_binary`, `noninferiority_scores`, `equivalence_scores` |
| many tests | `holm`, `benjamini_hochberg`, `max_t`, `dunnett`; with a declared plan: `AnalysisPlan`, `judge_findings`, `sentence` |
| abstaining, judges, several datasets | `selective_difference`, `utility_curve`, `ppi_mean`, `kappa`, `meta_analysis` |
| what it costs, subgroups, lost answers | `cost_effectiveness`, `subgroup_table`, `missing_pairs`, `difference_bounds` |
| how many items, when to stop | `claim_power`, `mcnemar_power`, `design_table`, `group_sequential_bounds`, `paired_evalue` |

Treatment comes before control everywhere and differences are treatment minus control. NumPy is all that is needed: results are
the same with and without SciPy. The modules are loaded when one of their names is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from batchtrial.stats.binary import cochran_q, mcnemar_chi2, mcnemar_exact, mcnemar_midp, probability_better
    from batchtrial.stats.bootstrap import BootstrapEstimate, bootstrap_cells, bootstrap_delta, bootstrap_mean, median_of
    from batchtrial.stats.claim_power import PlannedTest, Spread, claim_power, detectable, items_for_claim, level_of_trial
    from batchtrial.stats.clusters import ClusteredMean, clustered_mean
    from batchtrial.stats.costs import CostEffectiveness, cost_effectiveness
    from batchtrial.stats.crossed import CrossedMean, crossed_mean
    from batchtrial.stats.designs import Design, VarianceShares, cheapest_design, design_table, variance_shares
    from batchtrial.stats.effects import cliffs_delta, cohen_dav, cohen_dz, hedges_gz
    from batchtrial.stats.evalues import EValue, anytime_evalue, betting_evalue, betting_interval, betting_path, paired_evalue, paired_evalue_path
    from batchtrial.stats.glmm import MixedLogit, fit_random_intercept
    from batchtrial.stats.intervals import (
        EffectiveTango,
        bonett_price,
        clopper_pearson,
        effective_tango,
        jeffreys,
        newcombe,
        tango,
        tango_many,
        wilson,
    )
    from batchtrial.stats.judge import corrected_rate, judged_rate, ppi_mean
    from batchtrial.stats.judge_quality import flip_rate, flipped, kappa, length_bias, leniency, position_bias
    from batchtrial.stats.judging import judge_findings, verdict
    from batchtrial.stats.maxt import MaxT, dunnett, max_t
    from batchtrial.stats.meta import MetaAnalysis, between_variance, dataset_effect, laplace_variance, meta_analysis, stratified_mean
    from batchtrial.stats.missing import DifferenceBounds, LossByDifficulty, difference_bounds, loss_by_difficulty
    from batchtrial.stats.multiplicity import adjust, benjamini_hochberg, benjamini_yekutieli, hochberg, holm
    from batchtrial.stats.noninferiority import (
        MarginTest,
        equivalence_binary,
        equivalence_from_summary,
        equivalence_scores,
        noninferiority_binary,
        noninferiority_from_summary,
        noninferiority_scores,
    )
    from batchtrial.stats.odds import log_odds_ratio, odds_ratio
    from batchtrial.stats.pairing import MissingPairs, PairedCounts, PairedScores, discordant, missing_pairs, paired_scores
    from batchtrial.stats.passk import mean_pass_at_k, pass_at_k, pass_at_k_scores
    from batchtrial.stats.permutation import sign_flip
    from batchtrial.stats.plan import AnalysisPlan, Endpoint, Finding, Judgement, LostAnswers, PlanCheck, check_followed
    from batchtrial.stats.power import (
        DetectableEffect,
        SampleSize,
        mcnemar_items,
        mcnemar_items_exact,
        mcnemar_mde,
        mcnemar_power,
        normal_items,
        paired_t_items,
        paired_t_mde,
        paired_t_power,
    )
    from batchtrial.stats.ranks import SignedRanks, hodges_lehmann, rank_biserial, wilcoxon
    from batchtrial.stats.ratios import fieller_ratio
    from batchtrial.stats.results import Estimate, Test
    from batchtrial.stats.reuse import ControlReuse, difference_with_reuse
    from batchtrial.stats.scores import MeanComparison, logit_t, paired_t
    from batchtrial.stats.selective import RiskCoverage, SelectiveDifference, SelectiveRisk, risk_coverage, selective_difference, selective_risk
    from batchtrial.stats.sensitivity import ThresholdPoint, ThresholdSensitivity, threshold_sensitivity
    from batchtrial.stats.sequential import (
        Bounds,
        Characteristics,
        characteristics,
        discordant_z,
        drift_for_power,
        group_sequential_bounds,
        repeated_interval,
        spending_bounds,
        stagewise_test,
    )
    from batchtrial.stats.shared_alpha import shares_of_alpha
    from batchtrial.stats.subgroups import Subgroup, SubgroupTable, subgroup_table
    from batchtrial.stats.unconditional import exact_margin_p
    from batchtrial.stats.utility import UtilityPoint, break_even_penalty, penalty_for_confidence, utility_curve, utility_scores
    from batchtrial.stats.wording import followed, sentence

__all__ = [
    "AnalysisPlan",
    "BootstrapEstimate",
    "Bounds",
    "Characteristics",
    "ClusteredMean",
    "ControlReuse",
    "CostEffectiveness",
    "CrossedMean",
    "Design",
    "DetectableEffect",
    "DifferenceBounds",
    "EValue",
    "EffectiveTango",
    "Endpoint",
    "Estimate",
    "Finding",
    "Judgement",
    "LossByDifficulty",
    "LostAnswers",
    "MarginTest",
    "MaxT",
    "MeanComparison",
    "MetaAnalysis",
    "MissingPairs",
    "MixedLogit",
    "PairedCounts",
    "PairedScores",
    "PlanCheck",
    "PlannedTest",
    "RiskCoverage",
    "SampleSize",
    "SelectiveDifference",
    "SelectiveRisk",
    "SignedRanks",
    "Spread",
    "Subgroup",
    "SubgroupTable",
    "Test",
    "ThresholdPoint",
    "ThresholdSensitivity",
    "UtilityPoint",
    "VarianceShares",
    "adjust",
    "anytime_evalue",
    "benjamini_hochberg",
    "benjamini_yekutieli",
    "betting_evalue",
    "betting_interval",
    "betting_path",
    "between_variance",
    "bonett_price",
    "bootstrap_cells",
    "bootstrap_delta",
    "bootstrap_mean",
    "break_even_penalty",
    "characteristics",
    "cheapest_design",
    "check_followed",
    "claim_power",
    "cliffs_delta",
    "clopper_pearson",
    "clustered_mean",
    "cochran_q",
    "cohen_dav",
    "cohen_dz",
    "corrected_rate",
    "cost_effectiveness",
    "crossed_mean",
    "dataset_effect",
    "design_table",
    "detectable",
    "difference_bounds",
    "difference_with_reuse",
    "discordant",
    "discordant_z",
    "drift_for_power",
    "dunnett",
    "effective_tango",
    "equivalence_binary",
    "equivalence_from_summary",
    "equivalence_scores",
    "exact_margin_p",
    "fieller_ratio",
    "fit_random_intercept",
    "flip_rate",
    "flipped",
    "followed",
    "group_sequential_bounds",
    "hedges_gz",
    "hochberg",
    "hodges_lehmann",
    "holm",
    "items_for_claim",
    "jeffreys",
    "judge_findings",
    "judged_rate",
    "kappa",
    "laplace_variance",
    "length_bias",
    "leniency",
    "level_of_trial",
    "log_odds_ratio",
    "logit_t",
    "loss_by_difficulty",
    "max_t",
    "mcnemar_chi2",
    "mcnemar_exact",
    "mcnemar_items",
    "mcnemar_items_exact",
    "mcnemar_mde",
    "mcnemar_midp",
    "mcnemar_power",
    "mean_pass_at_k",
    "median_of",
    "meta_analysis",
    "missing_pairs",
    "newcombe",
    "noninferiority_binary",
    "noninferiority_from_summary",
    "noninferiority_scores",
    "normal_items",
    "odds_ratio",
    "paired_evalue",
    "paired_evalue_path",
    "paired_scores",
    "paired_t",
    "paired_t_items",
    "paired_t_mde",
    "paired_t_power",
    "pass_at_k",
    "pass_at_k_scores",
    "penalty_for_confidence",
    "position_bias",
    "ppi_mean",
    "probability_better",
    "rank_biserial",
    "repeated_interval",
    "risk_coverage",
    "selective_difference",
    "selective_risk",
    "sentence",
    "shares_of_alpha",
    "sign_flip",
    "spending_bounds",
    "stagewise_test",
    "stratified_mean",
    "subgroup_table",
    "tango",
    "tango_many",
    "threshold_sensitivity",
    "utility_curve",
    "utility_scores",
    "variance_shares",
    "verdict",
    "wilcoxon",
    "wilson",
]

_NAMES_BY_MODULE = {
    "binary": "cochran_q mcnemar_chi2 mcnemar_exact mcnemar_midp probability_better",
    "bootstrap": "BootstrapEstimate bootstrap_cells bootstrap_delta bootstrap_mean median_of",
    "claim_power": "PlannedTest Spread claim_power detectable items_for_claim level_of_trial",
    "clusters": "ClusteredMean clustered_mean",
    "costs": "CostEffectiveness cost_effectiveness",
    "crossed": "CrossedMean crossed_mean",
    "designs": "Design VarianceShares cheapest_design design_table variance_shares",
    "effects": "cliffs_delta cohen_dav cohen_dz hedges_gz",
    "evalues": "EValue anytime_evalue betting_evalue betting_interval betting_path paired_evalue paired_evalue_path",
    "glmm": "MixedLogit fit_random_intercept",
    "intervals": "EffectiveTango bonett_price clopper_pearson effective_tango jeffreys newcombe tango tango_many wilson",
    "judge": "corrected_rate judged_rate ppi_mean",
    "judge_quality": "flip_rate flipped kappa length_bias leniency position_bias",
    "judging": "judge_findings verdict",
    "maxt": "MaxT dunnett max_t",
    "meta": "MetaAnalysis between_variance dataset_effect laplace_variance meta_analysis stratified_mean",
    "missing": "DifferenceBounds LossByDifficulty difference_bounds loss_by_difficulty",
    "multiplicity": "adjust benjamini_hochberg benjamini_yekutieli hochberg holm",
    "noninferiority": "MarginTest equivalence_binary equivalence_from_summary "
    "equivalence_scores noninferiority_binary noninferiority_from_summary noninferiority_scores",
    "odds": "log_odds_ratio odds_ratio",
    "pairing": "MissingPairs PairedCounts PairedScores discordant missing_pairs paired_scores",
    "passk": "mean_pass_at_k pass_at_k pass_at_k_scores",
    "permutation": "sign_flip",
    "plan": "AnalysisPlan Endpoint Finding Judgement LostAnswers PlanCheck check_followed",
    "power": "DetectableEffect SampleSize mcnemar_items mcnemar_items_exact mcnemar_mde "
    "mcnemar_power normal_items paired_t_items paired_t_mde paired_t_power",
    "ranks": "SignedRanks hodges_lehmann rank_biserial wilcoxon",
    "ratios": "fieller_ratio",
    "results": "Estimate Test",
    "reuse": "ControlReuse difference_with_reuse",
    "scores": "MeanComparison logit_t paired_t",
    "selective": "RiskCoverage SelectiveDifference SelectiveRisk risk_coverage selective_difference selective_risk",
    "sensitivity": "ThresholdPoint ThresholdSensitivity threshold_sensitivity",
    "sequential": "Bounds Characteristics characteristics discordant_z "
    "drift_for_power group_sequential_bounds repeated_interval spending_bounds stagewise_test",
    "shared_alpha": "shares_of_alpha",
    "subgroups": "Subgroup SubgroupTable subgroup_table",
    "unconditional": "exact_margin_p",
    "utility": "UtilityPoint break_even_penalty penalty_for_confidence utility_curve utility_scores",
    "wording": "followed sentence",
}
_HOME = {name: module for module, names in _NAMES_BY_MODULE.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    """Load the module of a public name on first use (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Public names, loaded or not."""
    return sorted({*globals(), *__all__})
