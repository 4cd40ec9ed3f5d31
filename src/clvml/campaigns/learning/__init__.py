"""What past campaigns teach the next one: their customers kept, the effect of each treatment learned from all."""
