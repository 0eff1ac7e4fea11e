"""Words about stock_levels are no contract."""
