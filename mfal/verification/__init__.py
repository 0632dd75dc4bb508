"""Whether a trained GFlowNet samples in proportion to its reward, where that is known."""
