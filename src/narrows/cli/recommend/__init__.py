"""The verbs that recommend: ``recommend``, ``evaluate``, and what ``fit --model recommender`` does."""
