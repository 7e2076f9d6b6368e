"""``hwnas report``: runs, searches and what an interruption left, read and put into words and charts."""
