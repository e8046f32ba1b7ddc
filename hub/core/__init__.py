"""What is true: ids, limits, manifests, pairs, clocks, receipts. Standard library only, no I/O."""
