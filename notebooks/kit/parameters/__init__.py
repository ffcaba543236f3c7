"""The parameters of the notebooks: what a run of one may change."""
