"""What is shown of results: to a build server, findings, summaries and checksums; to people, figures. From plain values."""
