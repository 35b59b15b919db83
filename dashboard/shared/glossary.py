"""Definitions of the terms that the pages use."""

import streamlit as st

NDCG = (
    "**nDCG@k** is trec_eval's `ndcg_cut`: the gain of a document is its grade, discounted by log2(rank + 1). The sum "
    "over the top k is divided by the sum for the ideal ranking of *all* judged documents of the topic, so nDCG lies "
    "between 0 and 1. Unjudged documents and grades below 1 have no gain. Documents with equal scores are ordered by "
    "descending document id, as in trec_eval; the rank column of a run is ignored."
)
JUDGED = (
    "**Judged@k** is the fraction of the top k documents that are judged for the topic. Unjudged documents count as "
    "not relevant, though they may be relevant: where Judged@k is low, nDCG may be underestimated."
)
SIGNIFICANCE = (
    "**95 % CI** of a difference: an interval computed so that, over many samples of topics, 95 % of such intervals "
    "hold the true mean difference (paired t-test). **p**, randomisation test: how often a mean difference at least as "
    "large arises when the sign of every topic's difference is drawn at random; below 0.05 a difference is called "
    "significant. **Holm-adjusted**: p is increased since several systems are compared with the same one. **Wins, "
    "ties, losses**: the topics on which the system named first has the higher, the same and the lower value. "
    "**MDE**, minimum detectable effect: the smallest true difference that this number of topics shows as significant "
    "in 80 % of samples."
)
GRADES = (
    "**Grade symbols**: ●● or more relevant, ● partly relevant (or relevant, if there is only one grade above 0), "
    "○ not relevant, ? unjudged."
)
PARTS = (
    "**Contribution to the difference**: nDCG is a sum over documents, so the difference of two systems is the sum, "
    "over the documents in the top k of either list, of the gain in list A minus the gain in list B. *Entered*: in the "
    "top k of A but not of B; *dropped out*: in the top k of B but not of A; *re-ranked*: in the top k of both, at "
    "different ranks; *unchanged*: at the same rank in both."
)
RBO = (
    "**RBO**, rank-biased overlap (Webber, Moffat & Zobel, 2010; extrapolated, p = 0.9): the overlap of two ranked "
    "lists, averaged over depths, where the top 10 ranks have 86 % of the weight; 1 means identical lists, 0 no "
    "document in common. **Jaccard@k**: the number of documents in both top k divided by the number in either, "
    "regardless of rank. Neither measure uses relevance judgments."
)
MEDIAN = (
    "**Median system**: for each topic, the median over all systems of the collection, the selected ones included. It "
    "is not a system that was run, but a reference for what is typical of the topic."
)
WORDS = (
    "**Word shares of a dense score**: the document vector is the mean of the model's token outputs, so the similarity "
    "is a sum over tokens, and the shares add up to the score. Each token output depends on the whole text: a share "
    "tells where the similarity is located, not how much would be lost without the word."
)


def explain_terms(*terms: str) -> None:
    """Draw the definitions of a page's terms in a collapsed expander."""
    with st.expander("Glossary", icon=":material/help:"):
        for term in terms:
            st.markdown(term)
