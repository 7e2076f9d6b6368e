"""What a pipeline's run says to those who wait for it: findings against baselines, JUnit, SARIF, a summary, checksums."""
