"""What the terms of the pages mean, for the reader who meets them for the first time."""

import streamlit as st

NDCG = (
    "**nDCG@k** is trec_eval's `ndcg_cut`: the gain of a document is its grade, divided by log2(rank + 1); the sum "
    "over the first k is divided by that of the best possible order of *all* judged documents of the topic, so it "
    "lies between 0 and 1. Grades below 1 and unjudged documents gain nothing. Documents of equal score are ordered by "
    "document id, last first, whatever the rank column of the run says."
)
JUDGED = (
    "**Judged@k** is the share of the first k documents that somebody judged for the topic. The others count as not "
    "relevant, which they need not be: where it is low, nDCG has room to rise."
)
GRADES = (
    "**Signs**: ●● or more relevant, ● partly relevant (or relevant, where there is one grade), ○ judged not relevant, "
    "? never judged."
)
PARTS = (
    "**Parts of a difference**: nDCG is a sum over documents, so the difference of two systems is the sum, over the "
    "documents in either first k, of what each gains in one list minus what it gains in the other. *Entered*: in the "
    "first k of a and not of b; *left*: the other way round; *moved*: in both, at another rank."
)
RBO = (
    "**RBO**, rank-biased overlap (Webber, Moffat & Zobel, 2010, extrapolated, p = 0.9): the documents two lists have "
    "in common, averaged over depths, the first 10 ranks carrying 86 % of the weight; 1 is the same list, 0 no "
    "document in common. **Jaccard@k**: the documents in both first k over those in either, order aside. Neither asks "
    "what is relevant."
)
MEDIAN = (
    "**Median system**: for each topic the median of all systems here, the chosen ones included. No system that ran; "
    "a yardstick for what is usual on the topic."
)
WORDS = (
    "**Words of a dense score**: the model's vector is the mean of its tokens' outputs, so the similarity is a sum "
    "over them, and the shares add up to the score. Each token has read the whole text: a share says where the "
    "similarity arrives, not what would be lost without the word."
)


def explain_terms(*terms: str) -> None:
    """Draw the explanations of the terms of a page, closed at first."""
    with st.expander("What these terms mean", icon=":material/help:"):
        for term in terms:
            st.markdown(term)
