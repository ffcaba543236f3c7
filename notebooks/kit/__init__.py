"""What pages share: chapters, proofs, claims and their records, printed costs, drawings."""
