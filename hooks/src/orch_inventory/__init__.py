"""What pipelines an organisation runs today, read from their files without importing or running any of them."""
