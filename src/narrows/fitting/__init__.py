"""What happens in a fit, in order: settings, defaults, build, split, train, choose, refit, baselines."""
