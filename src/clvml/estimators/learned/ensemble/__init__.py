"""What corrects BTYD: members learned from earlier snapshots, their blend, and its level."""
