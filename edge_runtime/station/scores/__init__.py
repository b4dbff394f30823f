"""What the model said of every judged frame: kept, played again at other thresholds, and watched for drift."""
