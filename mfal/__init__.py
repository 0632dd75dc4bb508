"""mfal: multi-fidelity active learning with GFlowNets."""
